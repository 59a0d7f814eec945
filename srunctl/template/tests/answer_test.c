/* Starts the service as the program does, on a free port, and asks it. */
#include "../src/answer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <srun/testing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIMIT_MS 30000 /* what hangs ends; nothing takes so long */

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

static struct answer answer;

static srun_test *start(const char *listen)
{
    srun_test *test = NULL;
    srun_err err = {0};
    answer = (struct answer){.listen = listen};
    CHECK(srun_test_new(&test,
                        SRUN_CONFIG(.name = "mydaemon", .health.enabled = 1, .admin.disabled = 1),
                        &err) == 0);
    CHECK(srun_runner_add(srun_test_runner(test), "answer", &answer_ops, &answer, NULL, &err) == 0);
    CHECK(srun_test_start(test, &err) == 0);
    return test;
}

/* Asks at "tcp://127.0.0.1:PORT" and reads until the other side has closed. */
static void ask(const char *address, const char *question, char *out, size_t size)
{
    const char *port = strrchr(address, ':');
    struct sockaddr_in where = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(port != NULL);
    where.sin_port = htons((uint16_t)strtoul(port + 1, NULL, 10));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(connect(fd, (struct sockaddr *)&where, sizeof where) == 0);
    CHECK(send(fd, question, strlen(question), MSG_NOSIGNAL) == (ssize_t)strlen(question));
    size_t used = 0;
    ssize_t got;
    while (used < size - 1 && (got = recv(fd, out + used, size - 1 - used, 0)) > 0)
        used += (size_t)got;
    out[used] = '\0';
    close(fd);
}

static void answers_a_line(void)
{
    char text[ANSWER_LINE];
    srun_err err = {0};
    srun_test *test = start("tcp://127.0.0.1:0");
    CHECK(srun_test_wait_state(test, "answer", SRUN_RUNNING, LIMIT_MS, &err) == 0);
    CHECK(answer_ops.health(&answer, NULL, &err) == 0);

    ask(answer.address, "how are you\n", text, sizeof text);
    CHECK(strcmp(text, "mydaemon, generation 1: how are you\n") == 0);

    CHECK(srun_test_signal(test, SIGTERM) == 0);
    CHECK(srun_test_finish(test, LIMIT_MS) == 0);
    srun_test_free(test);
}

static void does_not_start_where_it_cannot_listen(void)
{
    srun_test *test = start("nowhere");
    CHECK(srun_test_finish(test, LIMIT_MS) == 1);
    srun_test_free(test);
}

int main(void)
{
    answers_a_line();
    does_not_start_where_it_cannot_listen();
    puts("2 passed, 0 failed");
    return 0;
}
