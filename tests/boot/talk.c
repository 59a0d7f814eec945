/* SPDX-License-Identifier: MIT
 *
 * Logs what a journal could stumble over, and ends. journal_test.py reads it there.
 */
#include <errno.h>
#include <srun/srun.h>
#include <string.h>

static int talk(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    static char text[100000];
    srun_logger *log = srun_context_log(ctx);
    srun_ready(ctx);

    SRUN_DEBUG(log, "at debug");
    SRUN_INFO(log, "at info");
    SRUN_WARN(log, "at warn");
    SRUN_ERROR(log, "at error");
    SRUN_INFO(log, "values", SRUN_STR("text", "two words"), SRUN_INT("count", -3),
              SRUN_UINT("big", UINT64_MAX), SRUN_DOUBLE("ratio", 0.1), SRUN_BOOL("true", 1),
              SRUN_MS("took", 1500), SRUN_CODE("code", -ETIMEDOUT), SRUN_EVENT("talk.values"));
    SRUN_INFO(log, "a forger\nMESSAGE=two", SRUN_STR("text", "x\nPRIORITY=0\nMESSAGE=forged\n"));
    SRUN_INFO(log, "odd keys", SRUN_INT("PRIORITY", 0), SRUN_INT("_UID", 0),
              SRUN_INT("lower-case", 1), SRUN_INT("9nine", 2), SRUN_STR("message", "mine"));
    memset(text, 'y', sizeof text);
    SRUN_INFO(log, "long", SRUN_TEXT("text", text, 60000));
    SRUN_INFO(log, "too long", SRUN_TEXT("text", text, sizeof text));
    for (int i = 0; i < 1000; i++)
        SRUN_INFO(log, "one of many", SRUN_INT("n", i));
    SRUN_INFO(log, "the last one");
    return 0;
}

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    (void)user;
    static const struct srun_service_ops ops = {.size = sizeof ops, .run = talk};
    return srun_runner_add(runner, "talk", &ops, NULL, NULL, err);
}

int main(int argc, char **argv)
{
    return srun_main(argc, argv, SRUN_CONFIG(.name = "talk", .version = "1.0.0"), setup, NULL);
}
