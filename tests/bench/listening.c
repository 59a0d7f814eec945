/* SPDX-License-Identifier: MIT
 *
 * A program with many listeners, for bench_upgrade --listeners: LISTENERS of them, unix sockets in
 * the folder LISTENERS_FOLDER. Nobody connects.
 */
#include <srun/srun.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int listen_to_all(void *self, srun_context *ctx, srun_err *err)
{
    const char *count = getenv("LISTENERS"), *folder = getenv("LISTENERS_FOLDER");
    (void)self;
    if (count == NULL || folder == NULL)
        return srun_fail(err, -EINVAL, "LISTENERS and LISTENERS_FOLDER are not set");
    for (long i = 0; i < strtol(count, NULL, 10); i++) {
        char name[32], address[256];
        int fd;
        (void)snprintf(name, sizeof name, "listener-%ld", i);
        (void)snprintf(address, sizeof address, "unix://%s/%ld", folder, i);
        int rc = srun_listen(ctx, name, address, &fd, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int idle(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    srun_ready(ctx);
    return srun_sleep_ms(ctx, -1) == -ECANCELED ? 0 : -EIO;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static const struct srun_service_ops ops = {
        .size = sizeof ops, .init = listen_to_all, .run = idle};
    (void)user;
    return srun_runner_add(runner, "listening", &ops, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    return srun_main(argc, argv, SRUN_CONFIG(.name = "listening", .version = "1"), setup, NULL);
}
