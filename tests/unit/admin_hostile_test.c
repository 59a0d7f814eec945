/* SPDX-License-Identifier: MIT
 *
 * The admin port among clients that mean harm, files that change under it, handlers that do not
 * come back, and without descriptors.
 */
#include "port.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define TOKEN "correct-horse-battery-staple"
#define WRITE_TOKEN                                                                                \
    "POST /echo HTTP/1.1\r\n" HOST "X-Srun-Admin: 1\r\nAuthorization: Bearer " TOKEN "\r\n\r\n"

static struct port port;

static void open_port(void)
{
    port_init(&port);
    port_start(&port);
}

/* How often the log has it. */
static unsigned count_logged(const char *text)
{
    static char log[1 << 20];
    unsigned count = 0;
    ssize_t size = pread(port.log, log, sizeof log - 1, 0);
    ck_assert_int_ge(size, 0);
    log[size] = '\0';
    for (const char *at = log; (at = strstr(at, text)) != NULL; at++)
        count++;
    return count;
}

/* --- the log --------------------------------------------------------------------------------- */

START_TEST(writes_that_are_not_let_in_do_not_fill_the_log)
    {
        static const char *const refused[] = {
            "POST /echo HTTP/1.1\r\n" HOST "X-Srun-Admin: 1\r\n\r\n",
            "POST /nowhere HTTP/1.1\r\n" HOST "\r\n",
            "PATCH /echo HTTP/1.1\r\n" HOST "\r\n",
            "POST /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100\r\n\r\n",
        };
        open_port();
        int64_t start = harness_now_ms();
        for (size_t i = 0; i < 100 * COUNT_OF(refused); i++)
            ck_assert_uint_ge(port_ask_tcp(&port, refused[i % COUNT_OF(refused)])->status, 400);
        unsigned most = 2 + (unsigned)(harness_now_ms() - start) / 1000;
        ck_assert_uint_ge(count_logged("not let in"), 1);
        ck_assert_uint_le(count_logged("not let in"), most);
        ck_assert_uint_eq(count_logged("admin request"), 0);
        ck_assert_uint_eq(port_ask_unix(&port, "POST /echo HTTP/1.1\r\n" HOST "\r\n")->status, 403);
        port_close(&port);
    }
END_TEST

START_TEST(the_log_shows_no_secret_of_a_query)
    {
        open_port();
        ck_assert_uint_eq(port_ask_unix(&port,
                                        "POST /echo?word=a&api_token=no%20hunter2 HTTP/1.1\r\n" HOST
                                        "X-Srun-Admin: 1\r\n\r\n")
                              ->status,
                          200);
        ck_assert_uint_eq(count_logged("admin request"), 1);
        ck_assert_uint_eq(count_logged("word=a&api_token=***"), 1);
        ck_assert_uint_eq(count_logged("hunter2"), 0);
        port_close(&port);
    }
END_TEST

/* --- handlers -------------------------------------------------------------------------------- */

static bool is_named(void *arg)
{
    (void)arg;
    return count_logged("still within a request") == 1;
}

START_TEST(a_handler_that_takes_its_time_is_named_by_the_stop_and_its_client_answered)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        port_send(fd, GET("/wait"), strlen(GET("/wait")));
        port_wait_inside(1);
        port_ask_to_stop(&port);
        ck_assert(harness_wait(is_named, NULL, PORT_LIMIT_MS));
        ck_assert_uint_eq(count_logged("path=/wait"), 1);
        port_let_go();
        ck_assert_uint_eq(port_receive(fd)->status, 200);
        (void)close(fd);
        (void)pthread_join(port.thread, NULL);
        ck_assert_int_eq(port.exit_code, 0);
        port_free(&port);
    }
END_TEST

static long resident_kib(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    ck_assert(file != NULL && fscanf(file, "%*d %ld", &pages) == 1);
    (void)fclose(file);
    return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

#ifdef __GLIBC__
#include <malloc.h>
#else
#define malloc_trim(pad) 0 /* musl gives back by itself */
#endif

static bool is_given_back(void *arg)
{
    (void)malloc_trim(0);
    return harness_slowness() > 1 || resident_kib() < *(long *)arg + 4 * 1024;
}

/* A hundred megabytes, to one who reads all, and to one who goes away after the first bytes. */
START_TEST(a_response_of_100_mb_arrives_and_its_memory_comes_back)
    {
        static char block[1 << 20];
        open_port();
        ck_assert_uint_eq(port_ask_tcp(&port, GET("/echo"))->status, 200);
        long before = resident_kib();
        for (int turn = 0; turn < 2; turn++) {
            int fd = port_connect_tcp(&port);
            port_send(fd, GET("/big?kib=102400"), strlen(GET("/big?kib=102400")));
            size_t total = 0;
            for (ssize_t got = 1;
                 got > 0 && total < 100 * sizeof block && (turn == 0 || total == 0);
                 total += (size_t)got)
                got = recv(fd, block, sizeof block, 0);
            ck_assert(turn == 1 || total >= 100 * sizeof block);
            (void)close(fd);
        }
        ck_assert(harness_wait(is_given_back, &before, PORT_LIMIT_MS));
        port_close(&port);
    }
END_TEST

/* --- the token ------------------------------------------------------------------------------- */

static char token_path[128];

static void clear(void)
{
    ck_assert(unlink(token_path) == 0 || rmdir(token_path) == 0 || errno == ENOENT);
}

static void write_token(const char *text)
{
    clear();
    int fd = open(token_path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

static void put_pipe(void)
{
    clear();
    ck_assert_int_eq(mkfifo(token_path, 0600), 0);
}

static void put_folder(void)
{
    clear();
    ck_assert_int_eq(mkdir(token_path, 0700), 0);
}

static void put_loop(void)
{
    clear();
    ck_assert_int_eq(symlink(token_path, token_path), 0);
}

static void put_device(void)
{
    clear();
    ck_assert_int_eq(symlink("/dev/zero", token_path), 0);
}

static void put_nothing(void)
{
    write_token("");
}

static void put_many(void)
{
    write_token(TOKEN "\n" TOKEN "\n");
}

static void put_large(void)
{
    write_token(TOKEN "\n");
    ck_assert_int_eq(truncate(token_path, INT64_C(1) << 40), 0); /* it takes no room */
}

static void put_open(void)
{
    write_token(TOKEN "\n");
    ck_assert_int_eq(chmod(token_path, 0644), 0);
}

static void put_prefix(void)
{
    write_token("correct-horse-battery-stapl\n");
}

START_TEST(nobody_has_the_token_while_its_file_is_not_one)
    {
        static void (*const puts[])(void) = {put_pipe,   put_folder,  put_loop,
                                             put_device, put_nothing, put_many,
                                             put_large,  put_open,    put_prefix};
        port_init(&port);
        (void)snprintf(token_path, sizeof token_path, "%s/token", harness_folder());
        write_token(TOKEN "\n");
        port.config.admin.token_file = token_path;
        port_start(&port);
        for (size_t i = 0; i < COUNT_OF(puts); i++) {
            ck_assert_uint_eq(port_ask_tcp(&port, WRITE_TOKEN)->status, 200);
            puts[i]();
            struct answer *answer = port_ask_tcp(&port, WRITE_TOKEN);
            ck_assert_msg(answer->status == 403, "file %zu: %s", i, answer->text);
            ck_assert_uint_eq(port_ask_tcp(&port, GET("/echo"))->status, 200);
            write_token(TOKEN "\n");
        }
        ck_assert_uint_eq(count_logged(TOKEN), 0);
        port_close(&port);
    }
END_TEST

static void *replace_token(void *arg)
{
    char other[140];
    _Atomic bool *stop = arg;
    (void)snprintf(other, sizeof other, "%s.new", token_path);
    for (unsigned i = 0; !atomic_load(stop); i++) {
        int fd =
            open(i % 3 == 0 ? token_path : other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        const char *text = i % 2 == 0 ? TOKEN "\n" : "the-other-one-that-is-there-now\n";
        (void)!write(fd, text, 20); /* half of it, which is long enough to be one */
        (void)!write(fd, text + 20, strlen(text) - 20);
        (void)close(fd);
        (void)rename(other, token_path);
    }
    return NULL;
}

/* In place, and by rename, while it is read: a word that never was the token is never taken. */
START_TEST(a_file_that_is_replaced_all_the_time_lets_in_one_of_its_tokens_alone)
    {
        static const char wrong[] =
            "POST /echo HTTP/1.1\r\n" HOST
            "X-Srun-Admin: 1\r\nAuthorization: Bearer the-right-one-is\r\n\r\n";
        _Atomic bool stop = false;
        pthread_t thread;
        unsigned let_in = 0;
        port_init(&port);
        (void)snprintf(token_path, sizeof token_path, "%s/token", harness_folder());
        write_token(TOKEN "\n");
        port.config.admin.token_file = token_path;
        port_start(&port);
        ck_assert_int_eq(pthread_create(&thread, NULL, replace_token, &stop), 0);
        int64_t end = harness_now_ms() + PORT_LIMIT_MS; /* for one that finds the token there */
        for (int i = 0; i < 300 || (let_in == 0 && harness_now_ms() < end); i++) {
            unsigned status = port_ask_tcp(&port, WRITE_TOKEN)->status;
            ck_assert(status == 200 || status == 403);
            let_in += status == 200;
            ck_assert_uint_eq(port_ask_tcp(&port, wrong)->status, 403);
        }
        atomic_store(&stop, true);
        (void)pthread_join(thread, NULL);
        write_token(TOKEN "\n");
        ck_assert_uint_eq(port_ask_tcp(&port, WRITE_TOKEN)->status, 200);
        ck_assert_uint_gt(let_in, 0);
        port_close(&port);
    }
END_TEST

/* --- pipelining ------------------------------------------------------------------------------ */

/* Until there are so many, or the other side hangs up: both may come at once. */
static unsigned count_answers(int fd, unsigned wanted)
{
    char text[4096] = "";
    size_t size = 0;
    unsigned count = 0;
    while (count < wanted) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        ck_assert_msg(poll(&wait, 1, PORT_LIMIT_MS) == 1, "no response; so far: %s", text);
        ssize_t got = recv(fd, text + size, sizeof text - 1 - size, 0);
        if (got <= 0)
            break;
        size += (size_t)got;
        text[size] = '\0';
        count = 0;
        for (const char *at = text; (at = strstr(at, " body=")) != NULL; at++)
            count++;
    }
    return count;
}

/* libmicrohttpd may have read it along with the first one, and would then keep it to itself. */
START_TEST(a_request_on_the_heels_of_another_is_answered_or_hung_up_on)
    {
        static const char request[] = GET("/echo");
        int one = 1;
        open_port();
        for (int i = 0; i < 600; i++) {
            int fd = i < 300 ? port_connect_tcp(&port) : port_connect_unix(&port);
            (void)setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
            port_send(fd, request, sizeof request - 1);
            for (int spin = 0; spin < i % 300 * 50; spin++)
                __asm__ volatile("");
            (void)send(fd, request, sizeof request - 1, MSG_NOSIGNAL); /* it may be gone */
            ck_assert_uint_ge(count_answers(fd, 2), 1);
            (void)close(fd);
        }
        port_close(&port);
    }
END_TEST

/* The second one begins, or ends, where the first one is still being read. */
START_TEST(a_body_with_a_request_behind_it_is_answered_or_hung_up_on)
    {
        static const char posts[] =
            "POST /echo HTTP/1.1\r\n" HOST
            "X-Srun-Admin: 1\r\nContent-Length: 5\r\n\r\nhello" GET("/echo?word=b");
        open_port();
        for (size_t cut = 1; cut < sizeof posts; cut++) {
            int fd = port_connect_unix(&port);
            port_send(fd, posts, cut);
            (void)send(fd, posts + cut, sizeof posts - 1 - cut, MSG_NOSIGNAL);
            ck_assert_uint_ge(count_answers(fd, 2), 1);
            (void)close(fd);
        }
        port_close(&port);
    }
END_TEST

/* --- heads -------------------------------------------------------------------------------------
 */

/* Each takes memory of the connection: what has no room was hung up on without a word. */
START_TEST(takes_as_many_arguments_and_cookies_as_there_is_room_for)
    {
        open_port();
        static char request[16384];
        for (int count = 192; count <= 194; count++) {
            size_t used = (size_t)snprintf(request, sizeof request, "GET /echo?a");
            for (int i = 1; i < count / 2; i++)
                used += (size_t)snprintf(request + used, sizeof request - used, "&a");
            used += (size_t)snprintf(request + used, sizeof request - used,
                                     " HTTP/1.1\r\n" HOST "Cookie: a");
            for (int i = 0; i < (count + 1) / 2; i++)
                used += (size_t)snprintf(request + used, sizeof request - used, "; b");
            for (int i = 0; i < 60; i++)
                used += (size_t)snprintf(request + used, sizeof request - used, "\r\nA%d: b", i);
            used += (size_t)snprintf(request + used, sizeof request - used, "\r\nCookie: ");
            memset(request + used, 'b', 8192 - 4 - used);
            (void)snprintf(request + 8192 - 4, 5, "\r\n\r\n");
            ck_assert_uint_eq(port_ask_tcp(&port, request)->status, count < 194 ? 200 : 431);
        }
        port_close(&port);
    }
END_TEST

/* --- many that are busy ---------------------------------------------------------------------- */

/* Asks for what is work, again and again, and comes again when it is sent away. */
static void *ask_all_the_time(void *arg)
{
    static const char request[] = GET("/metrics");
    _Atomic bool *stop = arg;
    char text[16384];
    while (!atomic_load(stop)) {
        int fd = port_connect_tcp(&port);
        while (!atomic_load(stop) &&
               send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == sizeof request - 1 &&
               recv(fd, text, sizeof text, 0) > 0)
            continue;
        (void)close(fd);
    }
    return NULL;
}

START_TEST(answers_probes_while_more_ask_all_the_time_than_there_is_room_for)
    {
        enum { COUNT = 100 };
        pthread_t threads[COUNT];
        _Atomic bool stop = false;
        port_init(&port);
        port.patience_ms = 10000; /* whether each has its turn, on however slow a machine */
        port_start(&port);
        for (int i = 0; i < COUNT; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, ask_all_the_time, &stop), 0);
        for (int i = 0; i < 50; i++) {
            struct answer *answer = port_ask_tcp(&port, GET("/echo"));
            ck_assert_msg(answer->status == 200, "probe %d: %s", i, answer->text);
        }
        atomic_store(&stop, true);
        for (int i = 0; i < COUNT; i++)
            (void)pthread_join(threads[i], NULL);
        port_close(&port);
    }
END_TEST

/* --- descriptors ----------------------------------------------------------------------------- */

static bool is_out_of_descriptors(void *unused)
{
    (void)unused;
    return count_logged("accept") == 1;
}

/* The clients have their descriptors already, and ask for /health; the port lacks one for each of
 * them, and knows it. Returns the limit to go back to. */
static struct rlimit ask_without_descriptors(int *fds, int count)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct rlimit before;
    to.sin_port = htons((uint16_t)atoi(strrchr(port.address, ':') + 1));
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    const struct rlimit none = {3, before.rlim_max};
    for (int i = 0; i < count; i++)
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&to, sizeof to), 0);
        port_send(fds[i], GET("/health"), strlen(GET("/health")));
    }
    ck_assert(harness_wait(is_out_of_descriptors, NULL, PORT_LIMIT_MS));
    return before;
}

START_TEST(answers_who_waited_while_there_was_no_descriptor)
    {
        enum { COUNT = 8 };
        int fds[COUNT];
        open_port();
        ck_assert_uint_eq(port_ask_tcp(&port, GET("/echo"))->status, 200);
        const struct rlimit before = ask_without_descriptors(fds, COUNT);
        struct pollfd wait = {.fd = fds[0], .events = POLLIN};
        ck_assert_int_eq(poll(&wait, 1, 300), 0); /* it is left waiting, nothing is lost */
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        for (int i = 0; i < COUNT; i++) {
            ck_assert_uint_eq(port_receive(fds[i])->status, 200);
            (void)close(fds[i]);
        }
        ck_assert_uint_eq(count_logged("accept"), 1);
        port_close(&port);
    }
END_TEST

/* All of the backlog, which nobody could take before: the watch had no descriptors, and rests. */
START_TEST(answers_all_who_had_connected_when_it_stops)
    {
        enum { COUNT = 40 };
        int fds[COUNT];
        open_port();
        ck_assert_uint_eq(port_ask_tcp(&port, GET("/echo"))->status, 200);
        const struct rlimit before = ask_without_descriptors(fds, COUNT);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        port_ask_to_stop(&port);
        for (int i = 0; i < COUNT; i++) {
            ck_assert_uint_eq(port_receive(fds[i])->status, 200);
            (void)close(fds[i]);
        }
        (void)pthread_join(port.thread, NULL);
        ck_assert_int_eq(port.exit_code, 0);
        port_free(&port);
    }
END_TEST

/* --- probes ---------------------------------------------------------------------------------- */

/* To look at the file is what may hang: what is wrong with it is found by others. */
START_TEST(a_probe_does_not_look_at_the_file_of_the_token)
    {
        port_init(&port);
        (void)snprintf(token_path, sizeof token_path, "%s/token", harness_folder());
        write_token(TOKEN "\n");
        port.config.admin.token_file = token_path;
        port_start(&port);
        put_open();
        ck_assert_uint_eq(port_ask_tcp(&port, GET("/health"))->status, 200);
        ck_assert_uint_eq(count_logged("nobody has the token"), 0);
        ck_assert_uint_eq(port_ask_tcp(&port, GET("/echo"))->status, 200);
        ck_assert_uint_eq(count_logged("nobody has the token"), 1);
        port_close(&port);
    }
END_TEST

int main(void)
{
    return HARNESS("unit.admin_hostile", writes_that_are_not_let_in_do_not_fill_the_log,
                   the_log_shows_no_secret_of_a_query,
                   a_handler_that_takes_its_time_is_named_by_the_stop_and_its_client_answered,
                   a_response_of_100_mb_arrives_and_its_memory_comes_back,
                   nobody_has_the_token_while_its_file_is_not_one,
                   a_file_that_is_replaced_all_the_time_lets_in_one_of_its_tokens_alone,
                   a_body_with_a_request_behind_it_is_answered_or_hung_up_on,
                   a_request_on_the_heels_of_another_is_answered_or_hung_up_on,
                   answers_probes_while_more_ask_all_the_time_than_there_is_room_for,
                   takes_as_many_arguments_and_cookies_as_there_is_room_for,
                   answers_who_waited_while_there_was_no_descriptor,
                   answers_all_who_had_connected_when_it_stops,
                   a_probe_does_not_look_at_the_file_of_the_token);
}
