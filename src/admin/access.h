/* SPDX-License-Identifier: MIT
 *
 * Who may do what. The unix socket: root and our own user may write, others nothing. TCP: who binds
 * to a loopback address lets its clients read, to any other only probe; the token gives the right
 * to write. What a browser could be made to send is refused: a Host that is a foreign name (DNS
 * rebinding), a write without X-Srun-Admin or from another site (CSRF), and what a page of another
 * site embeds, but not a link that somebody follows. PURE.
 */
#ifndef ADMIN_ACCESS_H
#define ADMIN_ACCESS_H

#include "admin/admin.h"

struct access_peer {
    bool local;    /* by the unix socket */
    bool trusted;  /* local: root or our own user */
    bool loopback; /* TCP: we are bound to a loopback address */
};

/* Of a request; NULL: it has no such field. */
struct access_ask {
    struct access_peer peer;
    const char *host, *origin, *fetch_site, *fetch_mode, *fetch_dest, *authorization;
    const char *custom;        /* X-Srun-Admin */
    const char *allowed_hosts; /* the setting, or NULL */
    const char *token;         /* that gives the right to write; NULL: there is none */
    bool writes;               /* the method is neither GET nor HEAD */
    enum admin_right needed;
};

struct access_verdict {
    enum admin_right right; /* of who asks */
    unsigned status;        /* 0: let in */
    const char *why;        /* one line, static */
    bool challenge;         /* WWW-Authenticate: Bearer */
    bool failed;            /* who asks lacks the right, or has a wrong token */
};

/* Is it an IP address, localhost or an allowed name, with or without a port? NULL: an HTTP/1.0
 * client that says none, which no browser is. */
bool access_admits_host(const struct access_ask *ask);

struct access_verdict access_judge(const struct access_ask *ask);

/* Does the Authorization field hold this token? Takes as long whether it is nearly right or not at
 * all. */
bool access_has_token(const char *authorization, const char *token);

#endif
