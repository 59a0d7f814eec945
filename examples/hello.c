#include <srun/srun.h>

static int hello_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    srun_ready(ctx);                       /* RUNNING: the next service may start */
    while (srun_sleep_ms(ctx, 1000) == 0)  /* wakes at once when its turn to stop comes */
        SRUN_INFO(srun_context_log(ctx), "tick");
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    (void)user;
    static const struct srun_service_ops hello = {.size = sizeof hello, .run = hello_run};
    return srun_runner_add(runner, "hello", &hello, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    return srun_main(argc, argv, SRUN_CONFIG(.name = "hello", .version = "1.0.0"), setup, NULL);
}
