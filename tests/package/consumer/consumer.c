/* SPDX-License-Identifier: MIT */
/* A user's program in the language that C99 and C++11 have in common; in C++20, which has
 * designated initializers, with the macros. */
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
#if defined __cplusplus && __cplusplus >= 202002L
    srun_set(srun_gauge(srun_runner_meter(runner), "age", SRUN_INSTRUMENT(.unit = "s")), 1,
             SRUN_KVS(SRUN_STR("of", "consumer")));
    (void)srun_runner_view(runner, "no*", SRUN_VIEW(.drop = 1), err);
    srun_span span = srun_span_start(srun_runner_tracer(runner), "setup", SRUN_SPAN(.root = 1));
    srun_span_end(&span);
    return srun_runner_add(runner, "consumer", &ops, NULL,
                           SRUN_OPTIONS(.stop_ms = 1000, .restart = {.when = SRUN_RESTART_NEVER}),
                           err);
#endif
    return srun_runner_add(runner, "consumer", &ops, NULL, NULL, err);
}

int main(int argc, char **argv)
{
#if defined __cplusplus && __cplusplus >= 202002L
    return srun_main(argc, argv, SRUN_CONFIG(.name = "consumer", .version = srun_version()), setup,
                     NULL);
#endif
    static struct srun_config config;
    config.size = sizeof config;
    config.name = "consumer";
    config.version = srun_version();
    return srun_main(argc, argv, &config, setup, NULL);
}
