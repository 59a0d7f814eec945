/* SPDX-License-Identifier: MIT
 *
 * The admin port as clients see it: requests good and bad, over TCP and the unix socket.
 */
#include "port.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct port port;

static void open_port(void)
{
    port_init(&port);
    port_start(&port);
}

#define ASSERT_STATUS(result, wanted)                                                              \
    do {                                                                                           \
        const struct answer *got_ = (result);                                                      \
        ck_assert_msg(got_->status == (wanted), "%u instead of %u: %s", got_->status,              \
                      (unsigned)(wanted), got_->text);                                             \
    } while (0)

#define ASSERT_HAS(result, wanted)                                                                 \
    ck_assert_msg(strstr((result)->text, (wanted)) != NULL, "'%s' is not in: %s", (wanted),        \
                  (result)->text)

/* --- requests that are answered -------------------------------------------------------------- */

START_TEST(answers_and_keeps_the_connection)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        for (int i = 0; i < 3; i++) {
            struct answer *answer = port_exchange(fd, GET("/echo?word=a%20b"));
            ASSERT_STATUS(answer, 200);
            ck_assert_str_eq(answer->body, "GET /echo word=a b body=\n");
            ck_assert_ptr_null(strcasestr(answer->text, "connection: close"));
        }
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(answers_head_where_it_answers_get_without_a_body)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        struct answer *answer = port_exchange(fd, "HEAD /echo HTTP/1.1\r\n" HOST "\r\n");
        ASSERT_STATUS(answer, 200);
        ck_assert_str_eq(answer->body, "");
        ASSERT_HAS(answer, "Content-Length: 24\r\n");
        ASSERT_STATUS(port_exchange(fd, GET("/echo")), 200);
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(sends_what_is_large_as_a_whole)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        for (int i = 0; i < 2; i++) {
            struct answer *answer = port_exchange(fd, GET("/big"));
            ASSERT_STATUS(answer, 200);
            ck_assert_uint_eq(strlen(answer->body), 1 << 20);
            for (int line = 0; line < 65536; line++)
                ck_assert_int_eq(atoi(answer->body + line * 16), line);
        }
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(closes_after_the_response_when_the_client_wants_it)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        struct answer *answer =
            port_exchange(fd, "GET /echo HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
        ASSERT_STATUS(answer, 200);
        ASSERT_HAS(answer, "Connection: close\r\n");
        port_assert_closed(fd);
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(answers_old_clients_that_say_no_host)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        ASSERT_STATUS(port_exchange(fd, "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
                      200);
        port_assert_closed(fd);
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(takes_a_request_that_comes_byte_by_byte)
    {
        open_port();
        int fd = port_connect_tcp(&port), one = 1;
        (void)setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &one, sizeof one);
        static const char request[] = GET("/echo");
        for (int turn = 0; turn < 2; turn++) { /* the second on the kept connection */
            for (size_t i = 0; i < sizeof request - 1; i++)
                port_send(fd, request + i, 1);
            ASSERT_STATUS(port_receive(fd), 200);
        }
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(gives_the_body_to_the_handler)
    {
        open_port();
        int fd = port_connect_unix(&port);
        struct answer *answer = port_exchange(
            fd, "POST /echo HTTP/1.1\r\n" HOST "X-Srun-Admin: 1\r\nContent-Length: 5\r\n\r\nhello");
        ASSERT_STATUS(answer, 200);
        ck_assert_str_eq(answer->body, "POST /echo word=- body=hello\n");
        ASSERT_STATUS(port_exchange(fd, GET("/echo")), 200); /* kept */

        static const char head[] =
            "PUT /tree/a/b HTTP/1.1\r\n" HOST "X-Srun-Admin: 1\r\nContent-Length: 65536\r\n\r\n";
        static char body[65536];
        memset(body, 'x', sizeof body);
        port_send(fd, head, sizeof head - 1);
        port_send(fd, body, sizeof body);
        answer = port_receive(fd);
        ASSERT_STATUS(answer, 200);
        ASSERT_HAS(answer, "PUT /tree/a/b word=- body=xxxx");
        ck_assert_uint_eq(strlen(answer->body), strlen("PUT /tree/a/b word=- body=\n") + 65536);
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(guards_each_response_and_lets_a_view_choose_its_own_policy)
    {
        open_port();
        static const char *const wanted[] = {
            "Cache-Control: no-store\r\n", "X-Content-Type-Options: nosniff\r\n",
            "X-Frame-Options: DENY\r\n", "Referrer-Policy: no-referrer\r\n",
            "Cross-Origin-Resource-Policy: same-origin\r\n"};
        static const char *const requests[] = {GET("/echo"), GET("/none"), GET("/styled")};
        for (size_t i = 0; i < COUNT_OF(requests); i++) {
            struct answer *answer = port_ask_tcp(&port, requests[i]);
            for (size_t j = 0; j < COUNT_OF(wanted); j++)
                ASSERT_HAS(answer, wanted[j]);
            ck_assert_ptr_null(strcasestr(answer->text, "access-control"));
            bool own = answer->status == 203;
            ASSERT_HAS(answer, own ? "default-src 'self'" : "default-src 'none'");
            ck_assert(!own || strstr(answer->text, "default-src 'none'") == NULL);
            ck_assert_ptr_null(strstr(answer->text, "X-Forged"));
        }
        port_close(&port);
    }
END_TEST

START_TEST(tells_which_methods_a_path_has)
    {
        open_port();
        struct answer *answer = port_ask_tcp(&port, "PATCH /echo HTTP/1.1\r\n" HOST "\r\n");
        ASSERT_STATUS(answer, 405);
        ASSERT_HAS(answer, "Allow: GET, HEAD, POST, DELETE\r\n");
        ASSERT_STATUS(port_ask_tcp(&port, "OPTIONS /tree/x HTTP/1.1\r\n" HOST "\r\n"), 405);
        ASSERT_STATUS(port_ask_tcp(&port, GET("/nowhere")), 404);
        ASSERT_STATUS(port_ask_tcp(&port, GET("/echo/")), 404);
        ASSERT_STATUS(port_ask_tcp(&port, GET("/tree")), 404);
        answer = port_ask_tcp(&port,
                              "GET /nowhere HTTP/1.1\r\n" HOST "Accept: application/json\r\n\r\n");
        ASSERT_STATUS(answer, 404);
        ASSERT_HAS(answer, "Content-Type: application/json\r\n");
        ASSERT_HAS(answer, "{\"v\":1,\"error\":");
        port_close(&port);
    }
END_TEST

START_TEST(answers_500_with_the_reason_when_a_handler_fails)
    {
        open_port();
        struct answer *answer = port_ask_tcp(&port, GET("/fail"));
        ASSERT_STATUS(answer, 500);
        ck_assert_str_eq(answer->body, "the disk is on fire\n");
        port_close(&port);
    }
END_TEST

START_TEST(runs_four_long_requests_and_puts_off_the_fifth)
    {
        open_port();
        int fds[4];
        for (int i = 0; i < 4; i++) {
            fds[i] = port_connect_tcp(&port);
            port_send(fds[i], GET("/wait"), strlen(GET("/wait")));
        }
        port_wait_inside(4);
        struct answer *answer = port_ask_tcp(&port, GET("/wait"));
        ASSERT_STATUS(answer, 429);
        ASSERT_HAS(answer, "Retry-After: 1\r\n");
        port_let_go();
        for (int i = 0; i < 4; i++) {
            ASSERT_STATUS(port_receive(fds[i]), 200);
            (void)close(fds[i]);
        }
        ASSERT_STATUS(port_ask_tcp(&port, GET("/wait")), 200);
        port_close(&port);
    }
END_TEST

/* --- requests that are not ------------------------------------------------------------------- */

static const struct {
    const char *request;
    unsigned status;
} malformed[] = {
    {"GET /echo HTTP/1.1\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST HOST "\r\n", 400},
    {"GET /echo HTTP/1.1\r\nHost : 127.0.0.1\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\nHost: 127.0.0.1\n\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "A\r\n\r\n", 400},
    {"GET /echo HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n", 400},
    {"GET http://127.0.0.1/echo HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET  /echo HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /ec ho HTTP/1.1\r\n" HOST "\r\n", 505},
    {"GET /echo\r\n\r\n", 400},
    {"GET /echo HTTP/2.0\r\n" HOST "\r\n", 505},
    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"GET /echo%00 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo?a=%00 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo%0a HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo%zz HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET /echo%2 HTTP/1.1\r\n" HOST "\r\n", 400},
    {"GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"FOO /echo HTTP/1.1\r\n" HOST "\r\n", 501},
    {"get /echo HTTP/1.1\r\n" HOST "\r\n", 501},
    {"G\"T /echo HTTP/1.1\r\n" HOST "\r\n", 400},
    {"TRACE /echo HTTP/1.1\r\n" HOST "\r\n", 405},
    {"CONNECT 127.0.0.1:80 HTTP/1.1\r\n" HOST "\r\n", 405},
    {"GET /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1, 1\r\n\r\n", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 65537\r\n\r\n", 413},
    {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n", 413},
    {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501},
    {"POST /echo HTTP/1.1\r\n" HOST
     "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400},
    {"\r\nGET /echo HTTP/1.1\r\n" HOST "\r\n", 400},
    {"\x16\x03\x01\x02", 400},
};

START_TEST(refuses_what_is_malformed_and_hangs_up)
    {
        open_port();
        for (size_t i = 0; i < COUNT_OF(malformed); i++)
            for (int turn = 0; turn < 3; turn++) { /* TCP; the second request; unix */
                int fd = turn < 2 ? port_connect_tcp(&port) : port_connect_unix(&port);
                if (turn == 1)
                    ASSERT_STATUS(port_exchange(fd, GET("/echo")), 200);
                struct answer *answer = port_exchange(fd, malformed[i].request);
                ck_assert_msg(answer->status == malformed[i].status, "%s (turn %d): %s",
                              malformed[i].request, turn, answer->text);
                port_assert_closed(fd);
                (void)close(fd);
            }
        ASSERT_STATUS(port_ask_tcp(&port, GET("/echo")), 200);
        struct admin_traffic traffic;
        admin_traffic(port.admin, &traffic);
        ck_assert_uint_ge(traffic.refused, 3 * COUNT_OF(malformed));
        port_close(&port);
    }
END_TEST

START_TEST(refuses_a_head_that_is_too_long)
    {
        open_port();
        static char request[16384];
        size_t used =
            (size_t)snprintf(request, sizeof request, "GET /echo HTTP/1.1\r\n" HOST "A: ");
        memset(request + used, 'a', 9000);
        struct answer *answer = port_ask_tcp(&port, request);
        ASSERT_STATUS(answer, 431);

        used = (size_t)snprintf(request, sizeof request, "GET /echo HTTP/1.1\r\n" HOST);
        for (int i = 0; i < 64; i++)
            used += (size_t)snprintf(request + used, sizeof request - used, "A%d: b\r\n", i);
        (void)snprintf(request + used, sizeof request - used, "\r\n");
        ASSERT_STATUS(port_ask_tcp(&port, request), 431);
        port_close(&port);
    }
END_TEST

START_TEST(takes_a_head_of_full_size)
    {
        open_port();
        static char request[16384];
        size_t used = (size_t)snprintf(request, sizeof request, "GET /echo HTTP/1.1\r\n" HOST);
        for (int i = 0; i < 62; i++)
            used += (size_t)snprintf(request + used, sizeof request - used, "A%d: b\r\n", i);
        used += (size_t)snprintf(request + used, sizeof request - used, "B: ");
        memset(request + used, 'b', 8192 - 4 - used);
        (void)snprintf(request + 8192 - 4, 5, "\r\n\r\n");
        int fd = port_connect_tcp(&port);
        for (int i = 0; i < 2; i++)
            ASSERT_STATUS(port_exchange(fd, request), 200);
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(answers_one_request_of_several_sent_at_once)
    {
        open_port();
        int fd = port_connect_tcp(&port);
        struct answer *answer = port_exchange(fd, GET("/echo") GET("/fail"));
        ASSERT_STATUS(answer, 200);
        ASSERT_HAS(answer, "Connection: close\r\n");
        ck_assert_ptr_null(strstr(answer->text, "fire"));
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(refuses_a_host_that_is_a_foreign_name)
    {
        port_init(&port);
        port.config.admin.allowed_hosts = "admin.example, other.example";
        port_start(&port);
        ASSERT_STATUS(port_ask_tcp(&port, "GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n"), 421);
        ASSERT_STATUS(port_ask_tcp(&port, "GET /echo HTTP/1.1\r\nHost:\r\n\r\n"), 421);
        ASSERT_STATUS(port_ask_tcp(&port, "GET /echo HTTP/1.1\r\nHost: localhost:80\r\n\r\n"), 200);
        ASSERT_STATUS(port_ask_tcp(&port, "GET /echo HTTP/1.1\r\nHost: Other.Example:8778\r\n\r\n"),
                      200);
        ASSERT_STATUS(port_ask_unix(&port, "GET /echo HTTP/1.1\r\nHost: evil.example\r\n\r\n"),
                      200);
        port_close(&port);
    }
END_TEST

/* --- who may what ---------------------------------------------------------------------------- */

#define POST(fields) "POST /echo HTTP/1.1\r\n" HOST fields "\r\n"
#define ASKED "X-Srun-Admin: 1\r\n"
#define TOKEN "0123456789abcdef-token"

START_TEST(lets_tcp_read_and_the_unix_socket_write)
    {
        open_port();
        ASSERT_STATUS(port_ask_tcp(&port, POST(ASKED)), 403);
        struct answer *answer = port_ask_unix(&port, POST(""));
        ASSERT_STATUS(answer, 403);
        ASSERT_HAS(answer, "X-Srun-Admin: 1");
        ASSERT_STATUS(port_ask_unix(&port, POST(ASKED)), 200);
        ck_assert(port_logged(&port, "admin request"));
        ck_assert(port_logged(&port, "not let in"));
        port_close(&port);
    }
END_TEST

static void write_token(const char *path, const char *token)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, token, strlen(token)), (ssize_t)strlen(token));
    (void)close(fd);
}

START_TEST(lets_who_has_the_token_write)
    {
        char path[512];
        (void)snprintf(path, sizeof path, "%s/token", harness_folder());
        write_token(path, TOKEN "\n");
        port_init(&port);
        port.config.admin.token_file = path;
        port_start(&port);
        struct answer *answer = port_ask_tcp(&port, POST(ASKED));
        ASSERT_STATUS(answer, 401);
        ASSERT_HAS(answer, "WWW-Authenticate: Bearer");
        ASSERT_STATUS(port_ask_tcp(&port, POST(ASKED "Authorization: Bearer " TOKEN "x\r\n")), 403);
        ASSERT_STATUS(port_ask_tcp(&port, POST(ASKED "Authorization: Bearer " TOKEN "\r\n")), 200);
        ASSERT_STATUS(port_ask_tcp(&port, POST("Authorization: Bearer " TOKEN "\r\n")), 403);

        write_token(path, TOKEN "-another\n"); /* read again */
        ASSERT_STATUS(port_ask_tcp(&port, POST(ASKED "Authorization: Bearer " TOKEN "\r\n")), 403);
        ASSERT_STATUS(
            port_ask_tcp(&port, POST(ASKED "Authorization: Bearer " TOKEN "-another\r\n")), 200);
        ck_assert(!port_logged(&port, TOKEN));
        struct admin_traffic traffic;
        admin_traffic(port.admin, &traffic);
        ck_assert_uint_eq(traffic.failed_auth, 3);
        port_close(&port);
    }
END_TEST

START_TEST(refuses_a_write_that_a_browser_was_made_to_send)
    {
        open_port();
        ASSERT_STATUS(port_ask_unix(&port, POST(ASKED "Origin: http://evil.example\r\n")), 403);
        ASSERT_STATUS(port_ask_unix(&port, POST(ASKED "Origin: null\r\n")), 403);
        ASSERT_STATUS(port_ask_unix(&port, POST(ASKED "Sec-Fetch-Site: cross-site\r\n")), 403);
        ASSERT_STATUS(port_ask_unix(&port, POST(ASKED "Origin: http://127.0.0.1\r\n"
                                                      "Sec-Fetch-Site: same-origin\r\n")),
                      200);
        port_close(&port);
    }
END_TEST

START_TEST(lets_clients_of_another_address_only_probe)
    {
        port_init(&port);
        port.config.admin.address = "tcp://0.0.0.0:0";
        port_start(&port);
        struct answer *answer = port_ask_tcp(&port, GET("/echo"));
        ASSERT_STATUS(answer, 403);
        ck_assert_ptr_null(strstr(answer->text, "fire"));
        ASSERT_STATUS(port_ask_tcp(&port, GET("/fail")), 403);
        port_close(&port);
    }
END_TEST

/* Somebody else whom the file system lets in. */
static int ask_as_nobody(void)
{
    pid_t pid = fork();
    if (pid != 0) {
        int status = 0;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    }
    if (setresgid(65534, 65534, 65534) != 0 || setresuid(65534, 65534, 65534) != 0)
        _exit(100);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    (void)snprintf(to.sun_path, sizeof to.sun_path, "%s", port.path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0)
        _exit(101);
    static const char request[] = GET("/echo");
    char text[64] = "";
    if (write(fd, request, sizeof request - 1) < 0 || read(fd, text, sizeof text - 1) < 12)
        _exit(102);
    _exit(atoi(text + 9) / 100 * 10 + atoi(text + 9) % 100);
}

START_TEST(answers_nothing_to_another_user_of_the_unix_socket)
    {
        open_port();
        struct stat made;
        ck_assert_int_eq(stat(port.path, &made), 0);
        ck_assert_uint_eq(made.st_mode & 0777, 0600);
        if (geteuid() == 0) {
            ck_assert_int_eq(ask_as_nobody(), 101);
            ck_assert_int_eq(chmod(port.path, 0666), 0);
            ck_assert_int_eq(chmod(harness_folder(), 0755), 0);
            ck_assert_int_eq(ask_as_nobody(), 43); /* 403 */
        }
        port_close(&port);
    }
END_TEST

/* --- where it listens ------------------------------------------------------------------------ */

/* -1: it is somebody else's. */
static int take_port(int number, char address[64])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    at.sin_port = htons((uint16_t)number);
    socklen_t length = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    ck_assert_int_ge(fd, 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one); /* as a port does */
    if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 1) < 0) {
        (void)close(fd);
        return -1;
    }
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &length), 0);
    (void)snprintf(address, 64, "127.0.0.1:%u", ntohs(at.sin_port));
    return fd;
}

static bool takes_the_usual_port(void *arg)
{
    char address[64];
    int *fd = arg;
    *fd = take_port(8778, address);
    return *fd >= 0;
}

/* Another test that runs beside may have it for a moment; a program that keeps it will do as well.
 */
START_TEST(starts_without_a_port_when_the_usual_one_is_taken)
    {
        int fd = -1;
        (void)harness_wait(takes_the_usual_port, &fd, 2000);
        port_init(&port);
        port.config.admin.address = NULL;
        port_start(&port);
        char text[160];
        ck_assert_int_eq(admin_address(port.admin, text, sizeof text), -ENOENT);
        ck_assert(port_logged(&port, "no admin port over TCP"));
        ASSERT_STATUS(port_ask_unix(&port, GET("/echo")), 200);
        (void)close(fd);
        port_close(&port);
    }
END_TEST

START_TEST(does_not_start_when_what_was_asked_for_is_impossible)
    {
        char address[64], path[200];
        int fd = take_port(0, address);
        (void)snprintf(path, sizeof path, "%s/none/admin.sock", harness_folder());
        static const char *const wrong[] = {"udp://127.0.0.1:1", "localhost:80", "unix:///tmp/x"};
        for (int i = 0; i < 6; i++) {
            port_init(&port);
            if (i == 0)
                port.config.admin.address = address;
            else if (i == 1)
                port.config.admin.socket = path;
            else if (i == 2)
                port.config.admin.token_file = path;
            else
                port.config.admin.address = wrong[i - 3];
            ck_assert_int_eq(port_fails(&port), 1);
            ck_assert(port_logged(&port, i == 2   ? "token file"
                                         : i == 1 ? "admin.socket"
                                                  : "admin.address"));
            port_free(&port);
        }
        (void)close(fd);
    }
END_TEST

static bool is_mapped(const char *library)
{
    static char maps[1 << 18];
    int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    size_t used = 0;
    for (ssize_t got; (got = read(fd, maps + used, sizeof maps - 1 - used)) > 0;)
        used += (size_t)got;
    maps[used] = '\0';
    (void)close(fd);
    return strstr(maps, library) != NULL;
}

START_TEST(maps_no_library_when_nothing_is_wanted)
    {
        port_init(&port);
        port.config.admin.address = port.config.admin.socket = "none";
        port_start(&port);
        char text[160];
        ck_assert_int_eq(admin_address(port.admin, text, sizeof text), -ENOENT);
        ck_assert_int_eq(admin_socket(port.admin, text, sizeof text), -ENOENT);
        ck_assert(!is_mapped("libmicrohttpd") && !is_mapped("libgnutls"));
        port_close(&port);

        open_port();
        ck_assert(is_mapped("libmicrohttpd"));
        ck_assert_int_eq(admin_socket(port.admin, text, 4), -ENOSPC);
        ck_assert_int_eq(admin_socket(port.admin, text, sizeof text), 0);
        ck_assert(strncmp(text, "unix:///", 8) == 0);
        port_close(&port);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "admin_server", answers_and_keeps_the_connection,
        answers_head_where_it_answers_get_without_a_body, sends_what_is_large_as_a_whole,
        closes_after_the_response_when_the_client_wants_it, answers_old_clients_that_say_no_host,
        takes_a_request_that_comes_byte_by_byte, gives_the_body_to_the_handler,
        guards_each_response_and_lets_a_view_choose_its_own_policy, tells_which_methods_a_path_has,
        answers_500_with_the_reason_when_a_handler_fails,
        runs_four_long_requests_and_puts_off_the_fifth, refuses_what_is_malformed_and_hangs_up,
        refuses_a_head_that_is_too_long, takes_a_head_of_full_size,
        answers_one_request_of_several_sent_at_once, refuses_a_host_that_is_a_foreign_name,
        lets_tcp_read_and_the_unix_socket_write, lets_who_has_the_token_write,
        refuses_a_write_that_a_browser_was_made_to_send, lets_clients_of_another_address_only_probe,
        answers_nothing_to_another_user_of_the_unix_socket,
        starts_without_a_port_when_the_usual_one_is_taken,
        does_not_start_when_what_was_asked_for_is_impossible,
        maps_no_library_when_nothing_is_wanted);
}
