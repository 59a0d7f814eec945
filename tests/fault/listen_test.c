/* SPDX-License-Identifier: MIT
 *
 * A service that listens, waits behind the gate and answers, in a whole runner on the virtual
 * clock, when the system refuses: a start that fails names the call, an accept that fails leaves
 * the connection where it waits, and the client gets its answer all the same.
 */
#include "scenario.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <srun/testing.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int quiet = -1; /* where logs go */
static atomic_int port;

static int init(void *self, srun_context *ctx, srun_err *err)
{
    char text[64];
    int *listener = self, bound = 0;
    int rc = srun_listen(ctx, "web", "tcp://127.0.0.1:0", listener, err);
    if (rc < 0)
        return rc;
    rc = srun_gate_fd(ctx, *listener);
    if (rc < 0)
        return srun_fail(err, rc, "gate: %s", srun_strerror(rc));
    rc = srun_drain_fd(ctx);
    if (rc < 0)
        return srun_fail(err, rc, "drain: %s", srun_strerror(rc));
    rc = srun_listen_address(ctx, *listener, text, sizeof text);
    if (rc < 0 || sscanf(text, "tcp://127.0.0.1:%d", &bound) != 1)
        return srun_fail(err, rc < 0 ? rc : -EINVAL, "address: %s", srun_strerror(rc));
    atomic_store(&port, bound);
    return 0;
}

static int run(void *self, srun_context *ctx, srun_err *err)
{
    const int *listener = self;
    (void)err;
    (void)srun_ready(ctx);
    while (!srun_cancelled(ctx)) {
        int client = srun_accept(ctx, *listener, NULL, NULL);
        if (client < 0)
            continue; /* one call fails, once: the connection is still there */
        (void)!write(client, "!", 1);
        (void)close(client);
    }
    (void)srun_listen_close(ctx, "web");
    return 0;
}

static void expect_answer(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((in_port_t)atomic_load(&port))};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct pollfd wait = {.fd = client, .events = POLLIN};
    char answer = 0;
    SCENARIO_ASSERT(connect(client, (struct sockaddr *)&to, sizeof to) == 0, "%m");
    SCENARIO_ASSERT(poll(&wait, 1, 20000 * harness_slowness()) == 1, "no answer");
    SCENARIO_ASSERT(read(client, &answer, 1) == 1 && answer == '!', "%d", answer);
    (void)close(client);
}

static int end_of(srun_test *test)
{
    int64_t limit = harness_now_ms() + 20000 * harness_slowness();
    while (harness_now_ms() < limit) {
        int code = srun_test_finish(test, 20);
        if (code >= 0)
            return code;
        (void)srun_test_advance_ms(test, 5);
    }
    SCENARIO_ASSERT(false, "it does not end");
    return -1;
}

static bool comes_up(srun_test *test)
{
    int64_t limit = harness_now_ms() + 20000 * harness_slowness();
    while (harness_now_ms() < limit) {
        if (srun_runner_is_ready(srun_test_runner(test)))
            return true;
        if (srun_test_finish(test, 0) >= 0)
            return false;
        (void)srun_test_wait_state(test, "web", SRUN_RUNNING, 2, NULL);
    }
    SCENARIO_ASSERT(false, "it neither starts nor ends");
    return false;
}

static void serve_once(void *arg)
{
    static const struct srun_service_ops ops = {.size = sizeof ops, .init = init, .run = run};
    int listener = -1;
    srun_test *test = NULL;
    srun_err err = {0};
    const struct srun_config config = {.size = sizeof config,
                                       .name = "fault",
                                       .version = "1",
                                       .log.fd_plus_one = quiet + 1,
                                       .signals.disabled = 1};
    (void)arg;
    ck_assert_msg(srun_test_new(&test, &config, &err) == 0, "%s", err.text);
    ck_assert_int_eq(srun_runner_add(srun_test_runner(test), "web", &ops, &listener, NULL, &err),
                     0);
    scenario_arm();
    int rc = srun_test_start(test, &err);
    if (rc == 0) {
        bool serves = comes_up(test);
        if (serves)
            expect_answer();
        (void)srun_test_signal(test, SIGTERM);
        int code = end_of(test);
        unsigned failed = scenario_disarm();
        SCENARIO_ASSERT(code == 0 || failed > 0, "exit code %d", code);
        SCENARIO_ASSERT(serves || code == 1, "exit code %d", code);
    } else {
        (void)scenario_disarm();
        scenario_assert_error(rc, &err);
    }
    (void)srun_test_free(test);
}

static void sweep(const char *name, unsigned kinds)
{
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(quiet, 0);
    fault_output_fd(quiet);
    scenario_each(name, kinds, serve_once, NULL);
    (void)close(quiet);
}

START_TEST(serves_or_says_why_not_without_memory)
    {
        sweep("listen, memory", FAULT_MEMORY);
    }
END_TEST

START_TEST(serves_or_says_why_not_without_descriptors)
    {
        sweep("listen, descriptors", FAULT_DESCRIPTOR);
    }
END_TEST

START_TEST(serves_through_interruptions)
    {
        sweep("listen, interrupted", FAULT_INTERRUPT);
    }
END_TEST

int main(void)
{
    harness_limit_ms(120000);
    return HARNESS("fault.listen", serves_or_says_why_not_without_memory,
                   serves_or_says_why_not_without_descriptors, serves_through_interruptions);
}
