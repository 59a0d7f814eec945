/* SPDX-License-Identifier: MIT
 *
 * That an answer arrives whole, whatever the client still sends and the handler says.
 */
#include "port.h"

static struct port port;

static void open_port(srun_admin_handler *handler)
{
    srun_err err = {0};
    port_init(&port);
    port_make(&port);
    ck_assert_int_eq(admin_add_route(port.admin, "GET", "/say", handler, NULL, &err), 0);
    port_run_on_its_thread(&port);
}

/* --- bodies that nobody wants ---------------------------------------------------------------- */

/* As of a client that has sent part of a body when the answer comes, and goes on before it looks.
 */
START_TEST(a_refused_client_may_finish_its_body_and_has_its_answer)
    {
        static const struct {
            bool second; /* on a connection that is kept */
            const char *head;
            unsigned status;
        } cases[] = {{false, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n\r\n", 413},
                     {true, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 300000\r\n\r\n", 413},
                     {false, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n", 403},
                     {true, "POST /none HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n", 404}};
        static char part[3000];
        memset(part, 'x', sizeof part);
        open_port(port_echo);
        for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
            int fd = i % 2 == 0 ? port_connect_tcp(&port) : port_connect_unix(&port);
            if (cases[i / 2].second)
                ck_assert_uint_eq(port_exchange(fd, GET("/echo"))->status, 200);
            port_send(fd, cases[i / 2].head, strlen(cases[i / 2].head));
            port_send(fd, part, sizeof part);
            ck_assert_uint_eq(port_receive(fd)->status, cases[i / 2].status);
            for (int j = 1; j < (cases[i / 2].status == 413 ? 100 : 20); j++)
                port_send(fd, part, sizeof part);
            ck_assert_int_eq(recv(fd, part, sizeof part, 0), 0);
            (void)close(fd);
        }
        port_close(&port);
    }
END_TEST

/* --- what handlers may say ------------------------------------------------------------------- */

static int say_what_is_not_theirs(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    static const char *const headers[][2] = {{"Connection", "close"},
                                             {"content-length", "3"},
                                             {"Keep-Alive", "timeout=1"},
                                             {"Transfer-Encoding", "chunked"},
                                             {"Upgrade", "websocket"},
                                             {"Trailer", "X-Late"},
                                             {"X-Empty", ""},
                                             {"X-Bell", "a\ab"},
                                             {"Content-Type", "text/csv"},
                                             {"X-Mine", "yes"}};
    (void)user, (void)err;
    for (size_t i = 0; i < COUNT_OF(headers); i++)
        srun_admin_add_header(exchange, headers[i][0], headers[i][1]);
    srun_admin_type(exchange, "");
    srun_admin_type(exchange, "text/\tplain");
    srun_admin_printf(exchange, "whole\n");
    return 0;
}

/* The next request on the connection is answered, too: nobody waits for what was not promised. */
START_TEST(a_handler_has_no_say_in_where_its_response_ends)
    {
        open_port(say_what_is_not_theirs);
        int fd = port_connect_tcp(&port);
        for (int i = 0; i < 2; i++) {
            struct answer *answer = port_exchange(fd, GET("/say"));
            ck_assert_uint_eq(answer->status, 200);
            ck_assert_str_eq(answer->body, "whole\n");
            ck_assert_ptr_nonnull(strstr(answer->text, "Content-Length: 6\r\n"));
            ck_assert_ptr_nonnull(strstr(answer->text, "Content-Type: text/csv\r\n"));
            ck_assert_ptr_nonnull(strstr(answer->text, "X-Mine: yes\r\n"));
            static const char *const none[] = {"close",   "chunked", "timeout", "websocket",
                                               "Trailer", "X-Empty", "X-Bell",  "text/plain"};
            for (size_t j = 0; j < COUNT_OF(none); j++)
                ck_assert_msg(strcasestr(answer->text, none[j]) == NULL, "%s", answer->text);
        }
        (void)close(fd);
        port_close(&port);
    }
END_TEST

/* Not by srun_fail, which would not let it. */
static int fail_with_a_clear_screen(void *user, srun_admin_exchange *exchange, srun_err *err)
{
    (void)user, (void)exchange;
    (void)snprintf(err->text, sizeof err->text, "no order \x1b[2J\nX-Forged: \xc2\x9b%s", "1m");
    return -EIO;
}

START_TEST(an_error_is_one_line_whatever_a_handler_says)
    {
        open_port(fail_with_a_clear_screen);
        struct answer *answer = port_ask_tcp(&port, GET("/say"));
        ck_assert_uint_eq(answer->status, 500);
        ck_assert_str_eq(answer->body, "no order ?[2J?X-Forged: ?1m\n");
        answer = port_ask_tcp(&port, GET("/say?format=json"));
        ck_assert_str_eq(answer->body, "{\"v\":1,\"error\":\"no order \\u001b[2J\\u000a"
                                       "X-Forged: \\u009b1m\"}\n");
        port_close(&port);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_answers", a_refused_client_may_finish_its_body_and_has_its_answer,
                   a_handler_has_no_say_in_where_its_response_ends,
                   an_error_is_one_line_whatever_a_handler_says);
}
