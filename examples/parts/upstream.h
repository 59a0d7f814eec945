/* SPDX-License-Identifier: MIT
 *
 * Another server, which is asked by HTTP. The call is a span of its own in the current trace, as of
 * a request that is being answered, and carries its context on. Threads: any; it blocks, for two
 * seconds at most.
 */
#ifndef UPSTREAM_H
#define UPSTREAM_H

#include <srun/srun.h>

#define UPSTREAM_URL_MAX 256

struct upstream {
    char url[UPSTREAM_URL_MAX]; /* without a slash at its end; "": there is none */
    char host[UPSTREAM_URL_MAX];
    int64_t port;
};

/* http://HOST[:PORT], or https. -EINVAL. For srun_flag_custom; user is the struct upstream. */
int upstream_set(void *user, const char *url, srun_err *err);

/* GET <url><path>. The status that it answers, with a body that the caller frees; -ETIMEDOUT,
 * -EFBIG (it exceeds max), -ENOMEM, -EPROTO, and what it says is in err. */
int upstream_get(const struct upstream *upstream, srun_tracer *tracer, const char *path, size_t max,
                 char **body, size_t *size, srun_err *err);

#endif
