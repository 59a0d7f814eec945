/* mydaemon: answers a line with a line, over TCP. libsrun does the rest: see README.md. */
#include "answer.h"

static int setup(srun_runner *runner, void *user, srun_err *err)
{
    struct answer *answer = user;
    int rc = srun_flag_string(runner, &answer->listen, "listen", "tcp://127.0.0.1:7000",
                              "where to listen; port 0: a free one", err);
    if (rc < 0)
        return rc;
    return srun_runner_add(runner, "answer", &answer_ops, answer, NULL, err);
}

int main(int argc, char **argv)
{
    static struct answer answer;
    return srun_main(argc, argv,
                     SRUN_CONFIG(.name = "mydaemon", .version = "0.1.0", .health.enabled = 1),
                     setup, &answer);
}
