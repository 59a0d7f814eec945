#include <srun/srun.h>

static int hello_run(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    while (srun_sleep_ms(ctx, 1000) == 0)  /* wakes at once when its turn to stop comes */
        SRUN_INFO(srun_context_log(ctx), "tick");
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    (void)user;
    return srun_serve(runner, "hello", hello_run, NULL, err);  /* RUNNING once it is entered */
}

int main(int argc, char **argv)
{
    return srun_main(argc, argv, SRUN_CONFIG(.name = "hello", .version = "1.0.0"), setup, NULL);
}
