/* SPDX-License-Identifier: MIT
 *
 * The head of a request, read strictly and before anybody else reads it: what two readers could
 * understand in two ways is refused (bare line feeds, two Hosts, a space before a colon, folded
 * fields, Transfer-Encoding, absolute addresses, %00, ...). PURE.
 */
#ifndef ADMIN_HEAD_H
#define ADMIN_HEAD_H

#include <stdbool.h>
#include <stddef.h>

#define HEAD_MAX 8192
#define HEAD_FIELDS_MAX 64
#define HEAD_PARTS_MAX 192 /* arguments and cookies: each takes memory of a connection's 32 KiB */

enum head_state {
    HEAD_MORE, /* so far nothing is wrong with it */
    HEAD_DONE,
    HEAD_REFUSED
};

struct head {
    size_t size;     /* with the empty line; the body begins there */
    size_t body;     /* Content-Length */
    bool keep;       /* the client may send another request on this connection */
    unsigned status; /* when refused, and one line of why */
    const char *why;
};

/* Looks at what has come so far, at most HEAD_MAX bytes count. */
enum head_state head_parse(const char *data, size_t size, struct head *out);

#endif
