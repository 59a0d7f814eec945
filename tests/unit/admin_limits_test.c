/* SPDX-License-Identifier: MIT
 *
 * The admin port under attack: clients that say nothing, a byte a second, or never read; and how it
 * stops. The limits are the real ones. A probe has to get in all the while.
 */
#include "port.h"

#include <fcntl.h>

#define PROBE_MS (50 * harness_slowness())

static struct port port, quiet; /* nobody attacks the quiet one */

static void open_port(void)
{
    port_init(&quiet);
    quiet.config.admin.socket = "none";
    port_start(&quiet);
    port_init(&port);
    port_start(&port);
}

/* Each is answered; that nearly all are answered fast is asserted at the end, since a busy machine
 * may hold up any of them. How many it does, the quiet port tells. */
static unsigned probes, slow_probes, slow_in_quiet;

static bool is_slow(const struct port *asked)
{
    int64_t start = harness_now_ms();
    struct answer *answer = port_ask_tcp(asked, GET("/echo"));
    ck_assert_msg(answer->status == 200, "%s", answer->text);
    return harness_now_ms() - start > PROBE_MS;
}

static void assert_probe(void)
{
    probes++;
    slow_in_quiet += is_slow(&quiet);
    slow_probes += is_slow(&port);
}

static void close_port(void)
{
    ck_assert_msg(slow_probes <= 1 + probes / 10 + 2 * slow_in_quiet,
                  "%u of %u probes took more than %d ms, and %u of the quiet port", slow_probes,
                  probes, PROBE_MS, slow_in_quiet);
    port_close(&port);
    port_close(&quiet);
}

static bool is_closed(int fd)
{
    char rest[4096];
    ssize_t got;
    while ((got = recv(fd, rest, sizeof rest, MSG_DONTWAIT)) > 0)
        continue;
    return got == 0 || (errno != EAGAIN && errno != EINTR);
}

static long resident_kib(void)
{
    char text[128] = "";
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ck_assert_int_gt(read(fd, text, sizeof text - 1), 0);
    (void)close(fd);
    return strtol(strchr(text, ' '), NULL, 10) * (sysconf(_SC_PAGESIZE) / 1024);
}

/* Sends a byte to each that is open once a second, probes in between, and says how many are open
 * after so long. They are closed at the end of the test. */
static unsigned drip(const int *fds, unsigned count, int64_t limit_ms, const char *byte)
{
    int64_t start = harness_now_ms(), next = start;
    unsigned open;
    do {
        bool send_now = harness_now_ms() >= next;
        next += send_now ? 1000 : 0;
        open = 0;
        for (unsigned i = 0; i < count; i++) {
            if (fds[i] < 0 || is_closed(fds[i]))
                continue;
            open++;
            if (send_now && byte != NULL)
                (void)send(fds[i], byte, 1, MSG_NOSIGNAL);
        }
        assert_probe();
        (void)poll(NULL, 0, 50);
    } while (open > 0 && harness_now_ms() - start < limit_ms);
    return open;
}

static void close_all(const int *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        (void)close(fds[i]);
}

/* A limit of the server of n seconds is seen by then, however busy the machine is. */
#define SECONDS(n) ((n)*1000 + PORT_LIMIT_MS)

/* --- clients that are slow ------------------------------------------------------------------- */

START_TEST(answers_probes_while_half_open_connections_come_in_and_closes_them)
    {
        enum { COUNT = 500 };
        static int fds[COUNT];
        open_port();
        assert_probe();
        long before = resident_kib();
        for (int i = 0; i < COUNT; i++) {
            fds[i] = port_connect_tcp(&port);
            if (i % 50 == 49)
                assert_probe();
        }
        long grown = resident_kib() - before;
        ck_assert_msg(harness_slowness() > 1 || grown <= 1024, "%ld KiB more", grown);
        ck_assert_uint_eq(drip(fds, COUNT, SECONDS(5), NULL), 0);
        struct admin_traffic traffic;
        admin_traffic(port.admin, &traffic);
        ck_assert_uint_ge(traffic.evicted, COUNT - 64);
        ck_assert_uint_gt(traffic.timed_out, 0);
        close_all(fds, COUNT);
        close_port();
    }
END_TEST

START_TEST(closes_clients_that_send_a_byte_a_second)
    {
        enum { COUNT = 200 };
        static int fds[COUNT];
        open_port();
        for (int i = 0; i < COUNT; i++) {
            fds[i] = i % 2 == 0 ? port_connect_tcp(&port) : port_connect_unix(&port);
            port_send(fds[i], "GET /echo HTTP/1.1\r\nA: ", 23);
        }
        ck_assert_uint_eq(drip(fds, COUNT, SECONDS(5), "a"), 0);
        close_all(fds, COUNT);
        close_port();
    }
END_TEST

START_TEST(gives_a_kept_connection_no_more_time_for_its_next_head)
    {
        int fds[2];
        open_port();
        int64_t start = harness_now_ms();
        for (int i = 0; i < 2; i++) {
            fds[i] = i == 0 ? port_connect_tcp(&port) : port_connect_unix(&port);
            ck_assert_uint_eq(port_exchange(fds[i], GET("/echo"))->status, 200);
            port_send(fds[i], "GET /echo HTTP/1.1\r\nA: ", 23);
        }
        ck_assert_uint_eq(drip(fds, 2, SECONDS(5), "a"), 0);
        ck_assert_int_ge(harness_now_ms() - start, 4500);
        close_all(fds, 2);
        close_port();
    }
END_TEST

START_TEST(closes_who_sends_a_body_a_byte_a_second)
    {
        int fds[1];
        open_port();
        fds[0] = port_connect_unix(&port);
        static const char head[] =
            "POST /echo HTTP/1.1\r\n" HOST "X-Srun-Admin: 1\r\nContent-Length: 100\r\n\r\n";
        int64_t start = harness_now_ms();
        port_send(fds[0], head, sizeof head - 1);
        ck_assert_uint_eq(drip(fds, 1, SECONDS(10), "a"), 0);
        ck_assert_int_ge(harness_now_ms() - start, 9500);
        close_all(fds, 1);
        close_port();
    }
END_TEST

START_TEST(takes_the_place_of_clients_that_never_read)
    {
        enum { COUNT = 64 };
        int fds[COUNT], small = 4096;
        open_port();
        for (int i = 0; i < COUNT; i++) {
            fds[i] = port_connect_tcp(&port);
            (void)setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
            port_send(fds[i], GET("/big?kib=6000"), strlen(GET("/big?kib=6000")));
            struct pollfd wait = {.fd = fds[i], .events = POLLIN};
            ck_assert_int_eq(poll(&wait, 1, PORT_LIMIT_MS), 1);
        }
        int64_t until = harness_now_ms() + SECONDS(5);
        unsigned status;
        do {
            status = port_ask_tcp(&port, GET("/echo"))->status;
            ck_assert(status == 200 || status == 503);
            (void)poll(NULL, 0, 50);
        } while (status != 200 && harness_now_ms() < until);
        ck_assert_uint_eq(status, 200);
        assert_probe();
        close_all(fds, COUNT);
        close_port();
    }
END_TEST

START_TEST(lets_who_is_being_answered_stay)
    {
        enum { COUNT = 200 };
        static int fds[COUNT];
        int waiting[3];
        open_port();
        for (int i = 0; i < 3; i++) {
            waiting[i] = port_connect_tcp(&port);
            port_send(waiting[i], GET("/wait"), strlen(GET("/wait")));
        }
        port_wait_inside(3);
        for (int i = 0; i < COUNT; i++)
            fds[i] = port_connect_tcp(&port);
        assert_probe();
        port_let_go();
        for (int i = 0; i < 3; i++)
            ck_assert_uint_eq(port_receive(waiting[i])->status, 200);
        close_all(waiting, 3);
        close_all(fds, COUNT);
        close_port();
    }
END_TEST

enum { KEPT = 80, PLACES = 64 };

static bool have_gone(void *arg)
{
    const int *fds = arg;
    int gone = 0;
    for (int i = 0; i < KEPT; i++)
        gone += is_closed(fds[i]);
    return gone >= KEPT - PLACES;
}

/* The oldest ones; but who was answered a moment before another may have been noticed to be idle a
 * moment after it. */
START_TEST(lets_an_idle_one_go_for_a_new_one)
    {
        int fds[KEPT];
        open_port();
        for (int i = 0; i < KEPT; i++) {
            fds[i] = port_connect_tcp(&port);
            ck_assert_uint_eq(port_exchange(fds[i], GET("/echo"))->status, 200);
        }
        ck_assert(harness_wait(have_gone, fds, PORT_LIMIT_MS));
        for (int i = KEPT / 2; i < KEPT; i++)
            ck_assert_msg(!is_closed(fds[i]), "%d of %d has gone", i, KEPT);
        ck_assert_uint_eq(port_exchange(fds[KEPT - 1], GET("/echo"))->status, 200);
        close_all(fds, KEPT);
        close_port();
    }
END_TEST

/* --- the end --------------------------------------------------------------------------------- */

static bool stops(void *unused)
{
    (void)unused;
    return srun_runner_state(port.runner, ADMIN_SERVICE) == SRUN_SHUTTING_DOWN;
}

START_TEST(answers_what_is_in_flight_when_it_stops)
    {
        open_port();
        int busy = port_connect_tcp(&port), idle = port_connect_tcp(&port);
        ck_assert_uint_eq(port_exchange(idle, GET("/echo"))->status, 200);
        port_send(busy, GET("/wait"), strlen(GET("/wait")));
        port_wait_inside(1);
        port_ask_to_stop(&port);
        ck_assert(harness_wait(stops, NULL, PORT_LIMIT_MS));
        port_assert_closed(idle);
        port_let_go();
        struct answer *answer = port_receive(busy);
        ck_assert_uint_eq(answer->status, 200);
        ck_assert_ptr_nonnull(strstr(answer->text, "Connection: close\r\n"));
        ck_assert_str_eq(answer->body, "waited\n");
        port_assert_closed(busy);
        (void)close(busy);
        (void)close(idle);
        (void)pthread_join(port.thread, NULL);
        ck_assert_int_eq(access(port.path, F_OK), -1);
        port_free(&port);
        port_close(&quiet);
    }
END_TEST

START_TEST(does_not_wait_long_for_the_silent_when_it_stops)
    {
        enum { COUNT = 40 };
        int fds[COUNT];
        open_port();
        for (int i = 0; i < COUNT; i++) {
            fds[i] = port_connect_tcp(&port);
            if (i % 2 == 0)
                port_send(fds[i], "GET", 3);
        }
        assert_probe();
        port_ask_to_stop(&port);
        (void)pthread_join(port.thread, NULL);
        ck_assert_int_eq(port.exit_code, 0);
        struct admin_traffic traffic;
        admin_traffic(port.admin, &traffic);
        ck_assert_uint_eq(traffic.timed_out, 0); /* as they would be after five seconds */
        port_free(&port);
        port_close(&quiet);
        close_all(fds, COUNT);
    }
END_TEST

/* --- everything at once ---------------------------------------------------------------------- */

enum { CLIENTS = 8 };
static _Atomic bool enough;
static _Atomic unsigned answered;

static int connect_any(unsigned turn)
{
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    tcp.sin_port = htons((uint16_t)atoi(strrchr(port.address, ':') + 1));
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    (void)snprintf(local.sun_path, sizeof local.sun_path, "%s", port.path);
    int fd = socket(turn % 2 == 0 ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct timeval limit = {.tv_sec = 5};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    int rc = turn % 2 == 0 ? connect(fd, (struct sockaddr *)&tcp, sizeof tcp)
                           : connect(fd, (struct sockaddr *)&local, sizeof local);
    if (rc == 0)
        return fd;
    (void)close(fd);
    return -1;
}

/* Whatever comes to its mind; nothing is asserted but that somebody gets answers. */
static void *disturb(void *arg)
{
    static const char *const requests[] = {
        GET("/echo"),
        GET("/big?kib=64"),
        "HEAD /echo HTTP/1.1\r\n" HOST "\r\n",
        GET("/none"),
        "GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "X-Srun-Admin: 1\r\nContent-Length: 3\r\n\r\nabc",
        "FOO / HTTP/1.1\r\n\r\n",
        "GET /echo HT",
        "",
        GET("/echo") GET("/echo"),
        GET("/fail")};
    unsigned turn = (unsigned)(uintptr_t)arg * 7;
    while (!atomic_load(&enough)) {
        int fd = connect_any(turn);
        if (fd < 0)
            continue;
        for (unsigned i = 0; i < turn % 5; i++) {
            char text[512];
            const char *request = requests[turn++ % COUNT_OF(requests)];
            if (send(fd, request, strlen(request), MSG_NOSIGNAL) < 0)
                break;
            if (strlen(request) > 20 && recv(fd, text, sizeof text, 0) > 0)
                atomic_fetch_add(&answered, 1);
        }
        turn++;
        (void)close(fd);
    }
    return NULL;
}

START_TEST(serves_disorderly_clients_and_stops_among_them)
    {
        pthread_t threads[CLIENTS];
        open_port();
        for (uintptr_t i = 0; i < CLIENTS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, disturb, (void *)i), 0);
        int64_t until = harness_now_ms() + PORT_LIMIT_MS;
        while (atomic_load(&answered) < 2000 && harness_now_ms() < until)
            (void)poll(NULL, 0, 10);
        ck_assert_uint_ge(atomic_load(&answered), 100);
        struct admin_traffic traffic;
        admin_traffic(port.admin, &traffic);
        ck_assert_uint_gt(traffic.requests, 0);
        close_port();
        atomic_store(&enough, true);
        for (int i = 0; i < CLIENTS; i++)
            (void)pthread_join(threads[i], NULL);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "admin_limits", answers_probes_while_half_open_connections_come_in_and_closes_them,
        closes_clients_that_send_a_byte_a_second,
        gives_a_kept_connection_no_more_time_for_its_next_head,
        closes_who_sends_a_body_a_byte_a_second, takes_the_place_of_clients_that_never_read,
        lets_who_is_being_answered_stay, lets_an_idle_one_go_for_a_new_one,
        answers_what_is_in_flight_when_it_stops, does_not_wait_long_for_the_silent_when_it_stops,
        serves_disorderly_clients_and_stops_among_them);
}
