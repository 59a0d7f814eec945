/* SPDX-License-Identifier: MIT
 *
 * A program with its admin port, over TCP and on a unix socket, when the system refuses: a start
 * that fails names the call; a call that fails while requests are answered costs one of them at
 * most, lets nobody in who had to stay out, and leaves a port that answers the next one.
 */
#include "scenario.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LIMIT_MS (20000 * harness_slowness())
#define TOKEN "correct-horse-battery-staple"
#define HOST "Host: localhost\r\n"
#define WRITE HOST "X-Srun-Admin: 1\r\n"

static int quiet = -1; /* where logs go */
static char token_file[200], socket_path[108];

/* --- a client -------------------------------------------------------------------------------- */

static int connect_tcp(const srun_runner *runner)
{
    char text[160];
    int one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    SCENARIO_ASSERT(srun_admin_address(runner, text, sizeof text) == 0, "it listens nowhere");
    to.sin_port = htons((in_port_t)atoi(strrchr(text, ':') + 1));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    SCENARIO_ASSERT(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "%m");
    return fd;
}

static int connect_unix(void)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memcpy(to.sun_path, socket_path, sizeof socket_path);
    SCENARIO_ASSERT(connect(fd, (struct sockaddr *)&to, sizeof to) == 0, "%m");
    return fd;
}

/* Up to the end of the response, or of the connection. The status; 0: there was none. */
static unsigned receive(int fd)
{
    static char text[1 << 20];
    size_t size = 0, wanted = sizeof text - 1;
    unsigned status = 0;
    text[0] = '\0';
    while (size < wanted) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        SCENARIO_ASSERT(poll(&wait, 1, LIMIT_MS) == 1, "no response; so far: %.1000s", text);
        ssize_t got = recv(fd, text + size, wanted - size, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        text[size] = '\0';
        const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "\r\nContent-Length: ");
        if (end != NULL)
            wanted = (size_t)(end - text) + 4 + (length != NULL ? strtoul(length + 18, 0, 10) : 0);
    }
    (void)sscanf(text, "HTTP/1.1 %u", &status);
    return size >= wanted ? status : 0;
}

static unsigned ask(int fd, const char *request)
{
    (void)send(fd, request, strlen(request), MSG_NOSIGNAL); /* or it has hung up already */
    return receive(fd);
}

/* --- what is asked --------------------------------------------------------------------------- */

static const struct request {
    const char *text;
    bool local;
    unsigned status;
} requests[] = {
    {"GET /ready HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /readyz?verbose&exclude=db HTTP/1.1\r\n" HOST "\r\n", true, 200},
    {"GET /metrics HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /services HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /status.json HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /debug/captures HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /debug/pprof/cmdline HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /debug/pprof/trace HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /livez HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET / HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /own HTTP/1.1\r\n" HOST "\r\n", false, 200},
    {"GET /nowhere HTTP/1.1\r\n" HOST "Accept: application/json\r\n\r\n", false, 404},
    {"GET /ready HTTP/1.1\r\nHost: evil.example\r\n\r\n", false, 421},
    {"GET /ready HTTP/1.1\nHost: localhost\n\n", false, 400},
    {"POST /admin/stop HTTP/1.1\r\n" WRITE "\r\n", false, 401},
    {"POST /admin/stop HTTP/1.1\r\n" WRITE "Authorization: Bearer wrong\r\n\r\n", false, 403},
    {"POST /admin/stop HTTP/1.1\r\n" HOST "\r\n", true, 403},
    {"POST /own HTTP/1.1\r\n" WRITE "Authorization: Bearer " TOKEN "\r\n"
     "Content-Length: 5\r\n\r\nhello",
     false, 200},
    {"POST /admin/log-level?level=warn&for=10m HTTP/1.1\r\n" WRITE "\r\n", true, 200},
};
enum { REQUESTS = sizeof requests / sizeof requests[0] };

/* One that fails is told so, or is hung up on; one that was refused is never let in instead. */
static void expect(const char *what, unsigned status, unsigned wanted)
{
    bool good = status == wanted;
    if (scenario_errno() != 0)
        good |= status == 0 || status == 500 || status == 503 || status == 401 || status == 403;
    SCENARIO_ASSERT(good, "%u instead of %u: %.60s", status, wanted, what);
}

static void ask_all(const srun_runner *runner)
{
    for (int i = 0; i < REQUESTS; i++) {
        int fd = requests[i].local ? connect_unix() : connect_tcp(runner);
        unsigned status = ask(fd, requests[i].text);
        expect(requests[i].text, status, requests[i].status);
        (void)close(fd);
    }
}

/* Three on one connection, the second of them in parts, with a limit of its own for each. */
static void ask_again(const srun_runner *runner)
{
    static const char part[] = "GET /health HTTP/1.1\r\n", rest[] = HOST "\r\n";
    int fd = connect_tcp(runner);
    unsigned first = ask(fd, requests[0].text);
    expect("first", first, 200);
    (void)send(fd, part, sizeof part - 1, MSG_NOSIGNAL);
    (void)poll(NULL, 0, 1); /* most likely they are seen one after the other */
    expect("second", ask(fd, rest), 200);
    expect("third", ask(fd, requests[0].text), 200);
    (void)close(fd);
}

/* --- the program ----------------------------------------------------------------------------- */

static int own(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    size_t size;
    (void)user, (void)err;
    srun_admin_add_header(exchange, "X-Own", "yes");
    const void *body = srun_admin_body(exchange, &size);
    bool posted = strcmp(srun_admin_method(exchange), "POST") == 0;
    SCENARIO_ASSERT(size == (posted ? 5 : 0), "a part of the body: %zu bytes", size);
    srun_admin_write(exchange, body, size);
    return 0;
}

static void turn(srun_runner *runner)
{
    struct pollfd wait = {.fd = srun_runner_fd(runner), .events = POLLIN};
    (void)poll(&wait, 1, 1000);
}

static bool comes_up(srun_runner *runner)
{
    int64_t end = harness_now_ms() + LIMIT_MS;
    while (srun_runner_dispatch(runner) > 0) {
        if (srun_runner_is_ready(runner))
            return true;
        turn(runner);
        SCENARIO_ASSERT(harness_now_ms() < end, "it neither starts nor ends");
    }
    return false;
}

static void turn_to_the_end(srun_runner *runner)
{
    int64_t end = harness_now_ms() + LIMIT_MS;
    while (srun_runner_dispatch(runner) > 0) {
        turn(runner);
        SCENARIO_ASSERT(harness_now_ms() < end, "it hangs");
    }
}

static int wait_for_the_end(void *self, srun_context *ctx, srun_err *err)
{
    (void)self, (void)err;
    (void)srun_ready(ctx);
    while (srun_sleep_ms(ctx, -1) == 0)
        ;
    return 0;
}

static srun_runner *make(void)
{
    srun_runner *runner = NULL;
    srun_err err = {0};
    const struct srun_config config = {
        .size = sizeof config,
        .name = "fault",
        .version = "1",
        .log.fd_plus_one = quiet + 1,
        .signals.disabled = 1,
        .health.enabled = 1,
        .admin = {.address = "127.0.0.1:0", .socket = socket_path, .token_file = token_file},
        .profile.capture = 1};
    ck_assert_msg(srun_runner_new(&runner, &config, &err) == 0, "%s", err.text);
    ck_assert_int_eq(srun_serve(runner, "db", wait_for_the_end, NULL, &err), 0);
    return runner;
}

static int add_routes(srun_runner *runner, srun_err *err)
{
    int rc = srun_admin_route(runner, "GET", "/own", own, NULL, err);
    return rc < 0 ? rc : srun_admin_route(runner, "POST", "/own", own, NULL, err);
}

/* After a failure that it has survived, all is as before. */
static void serve(srun_runner *runner)
{
    if (comes_up(runner)) {
        ask_all(runner);
        ask_again(runner);
        (void)scenario_disarm();
        int fd = connect_tcp(runner), local = connect_unix();
        SCENARIO_ASSERT(ask(fd, requests[0].text) == 200, "the next probe over TCP");
        SCENARIO_ASSERT(ask(local, requests[0].text) == 200, "the next probe on the unix socket");
        (void)close(fd);
        (void)close(local);
        ck_assert_int_eq(srun_runner_shutdown(runner, 0, "seen enough"), 0);
    }
    turn_to_the_end(runner);
}

static void live_once(void *arg)
{
    srun_runner *runner = make();
    srun_cause cause;
    srun_err err = {0};
    (void)arg;
    scenario_arm();
    int rc = add_routes(runner, &err);
    rc = rc < 0 ? rc : srun_runner_start(runner, &err);
    if (rc == 0) {
        serve(runner);
        (void)scenario_disarm();
        int code = srun_runner_exit_code(runner);
        srun_runner_cause(runner, &cause);
        SCENARIO_ASSERT(code == 0 || (code == 1 && cause.kind == SRUN_CAUSE_SERVICE_ERROR),
                        "%d: %s", code, cause.text);
        SCENARIO_ASSERT(code == 0 || cause.code < 0, "%d: %s", cause.code, cause.text);
    } else {
        (void)scenario_disarm();
        scenario_assert_error(rc, &err);
    }
    (void)srun_runner_free(runner);
    const char *second = fault_second_name();
    bool unseen = strcmp(fault_name(), "lstat") == 0 || /* what it cannot see it does not remove */
                  (second != NULL && strcmp(second, "lstat") == 0);
    SCENARIO_ASSERT(unlink(socket_path) < 0 || unseen, "the unix socket is left behind");
}

/* --- the sweeps ------------------------------------------------------------------------------ */

static void write_token(void)
{
    (void)snprintf(token_file, sizeof token_file, "%s/token", harness_folder());
    (void)snprintf(socket_path, sizeof socket_path, "%s/admin.sock", harness_folder());
    int fd = open(token_file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_eq(write(fd, TOKEN "\n", sizeof TOKEN), sizeof TOKEN);
    (void)close(fd);
}

static void sweep(const char *name, unsigned kinds)
{
    (void)unsetenv("SRUN_ADMIN");
    write_token();
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(quiet, 0);
    fault_output_fd(quiet);
    scenario_each(name, kinds, live_once, NULL);
    (void)close(quiet);
}

START_TEST(answers_or_says_why_not_without_memory)
    {
        sweep("admin port, memory", FAULT_MEMORY);
    }
END_TEST

START_TEST(answers_or_says_why_not_without_descriptors)
    {
        sweep("admin port, descriptors", FAULT_DESCRIPTOR);
    }
END_TEST

START_TEST(answers_or_says_why_not_without_threads)
    {
        sweep("admin port, threads", FAULT_THREAD);
    }
END_TEST

START_TEST(answers_through_interruptions_and_with_a_log_that_takes_nothing)
    {
        sweep("admin port, interrupted", FAULT_INTERRUPT);
        sweep("admin port, output", FAULT_OUTPUT);
    }
END_TEST

int main(void)
{
    harness_limit_ms(500000);                        /* several hundred lives each */
    scenario_stride(harness_slowness() > 1 ? 7 : 1); /* each life takes a while there */
    return HARNESS("fault.admin", answers_or_says_why_not_without_memory,
                   answers_or_says_why_not_without_descriptors,
                   answers_or_says_why_not_without_threads,
                   answers_through_interruptions_and_with_a_log_that_takes_nothing);
}
