/* SPDX-License-Identifier: MIT
 *
 * Socket addresses as people write them: 127.0.0.1:8080 and [::1]:8080. No names are looked up.
 */
#ifndef ADDRESS_H
#define ADDRESS_H

#include <srun/error.h>
#include <sys/socket.h>

struct address {
    struct sockaddr_storage socket;
    socklen_t length;
};

#define ADDRESS_TEXT 64 /* room for any address as text */

/* 0, or -EINVAL with what is accepted. */
int address_parse(struct address *out, const char *text, srun_err *err);

/* Writes it the way address_parse reads it. */
void address_format(const struct address *address, char out[ADDRESS_TEXT]);

#endif
