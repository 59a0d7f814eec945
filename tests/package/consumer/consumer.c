/* SPDX-License-Identifier: MIT */
/* A user's program in the language that C99 and C++11 have in common. */
#include <srun/srun.h>

static int consumer_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    srun_ready(ctx);
    while (srun_sleep_ms(ctx, 60000) == 0)
        continue;
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    static struct srun_service_ops ops;
    (void)user;
    ops.size = sizeof ops;
    ops.run = consumer_run;
    return srun_runner_add(runner, "consumer", &ops, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    static struct srun_config config;
    config.size = sizeof config;
    config.name = "consumer";
    config.version = srun_version();
    return srun_main(argc, argv, &config, setup, NULL);
}
