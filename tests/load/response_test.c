/* SPDX-License-Identifier: MIT
 *
 * Responses as servers send them, whole and cut into any two pieces, and byte by byte.
 */
#include "harness.h"
#include "load.h"
#include "response.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define OK "HTTP/1.1 200 OK\r\n"
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct expected {
    const char *text;
    bool keep_alive;
    unsigned status;
    unsigned body;
    unsigned pid, generation;
};

static const struct expected complete[] = {
    {OK "Content-Length: 5\r\n\r\nhello", true, 200, 5, 0, 0},
    {OK "content-length:0\r\n\r\n", true, 200, 0, 0, 0},
    {OK "Content-Length: 2\r\nContent-Length: 2\r\n\r\nab", true, 200, 2, 0, 0},
    {OK "X-Pid: 4711\r\nX-Generation: 12\r\nContent-Length: 1\r\n\r\nx", true, 200, 1, 4711, 12},
    {OK "Content-Length: 1\r\nConnection: close\r\n\r\nx", false, 200, 1, 0, 0},
    {OK "Content-Length: 1\r\nConnection: upgrade, Close\r\n\r\nx", false, 200, 1, 0, 0},
    {OK "Content-Length: 1\r\nConnection: closed\r\n\r\nx", true, 200, 1, 0, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", false, 200, 1, 0, 0},
    {"HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: Keep-Alive\r\n\r\nx", true, 200, 1, 0, 0},
    {"HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n", true, 204, 0, 0, 0},
    {"HTTP/1.1 503 \r\nContent-Length: 3\r\n\r\nno\n", true, 503, 3, 0, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", true,
     200, 15, 0, 0},
    {OK "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nTrailer: yes\r\n\r\n", true, 200, 1, 0,
     0},
};

static const char *const malformed[] = {
    "hello",
    "HTTP/2.0 200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    OK "Content-Length: 1\nX: y\r\n\r\nx",
    OK "Content-Length : 1\r\n\r\nx",
    OK " folded: 1\r\n\r\n",
    OK "no colon\r\n\r\n",
    OK "X: a\001b\r\nContent-Length: 0\r\n\r\n",
    OK "Content-Length: -1\r\n\r\n",
    OK "Content-Length: \r\n\r\n",
    OK "Content-Length: 1, 1\r\n\r\nx",
    OK "Content-Length: 99999999999999999999\r\n\r\nx",
    OK "Content-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    OK "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    OK "Transfer-Encoding: gzip\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\nxyz\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n\r\n",
    OK "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n0\r\n\r\n",
    OK "Content-Length: 1\r\nX-Pid: me\r\n\r\nx",
    OK "Content-Length: 1\r\n\r\nxy",
};

START_TEST(reads_what_a_server_may_send_however_it_is_cut)
    {
        static struct response response;
        for (size_t i = 0; i < COUNT(complete); i++) {
            const struct expected *e = &complete[i];
            size_t size = strlen(e->text);
            for (size_t cut = 1; cut < size; cut++) {
                response_begin(&response);
                ck_assert(!response_has_begun(&response));
                ck_assert_int_eq(response_feed(&response, e->text, cut), RESPONSE_MORE);
                ck_assert(response_has_begun(&response));
                ck_assert_msg(response_feed(&response, e->text + cut, size - cut) == RESPONSE_DONE,
                              "cut at %zu: %s", cut, e->text);
                ck_assert_msg(response.keep_alive == e->keep_alive, "%s", e->text);
                ck_assert_uint_eq(response.status, e->status);
                ck_assert_uint_eq(response.body, e->body);
                ck_assert_uint_eq(response.pid, e->pid);
                ck_assert_uint_eq(response.generation, e->generation);
            }
        }
    }
END_TEST

START_TEST(reads_what_comes_byte_by_byte)
    {
        static struct response response;
        for (size_t i = 0; i < COUNT(complete); i++) {
            const char *text = complete[i].text;
            response_begin(&response);
            while (text[1] != '\0')
                ck_assert_int_eq(response_feed(&response, text++, 1), RESPONSE_MORE);
            ck_assert_int_eq(response_feed(&response, text, 1), RESPONSE_DONE);
        }
    }
END_TEST

static enum response_state feed_in_pieces(struct response *response, const char *text, size_t piece)
{
    enum response_state state = RESPONSE_MORE;
    size_t size = strlen(text);
    response_begin(response);
    for (size_t at = 0; at < size && state != RESPONSE_MALFORMED; at += piece)
        state = response_feed(response, text + at, size - at < piece ? size - at : piece);
    return state;
}

START_TEST(refuses_what_a_server_may_not_send)
    {
        static struct response response;
        for (size_t i = 0; i < COUNT(malformed); i++)
            for (size_t piece = 1; piece < 80; piece += 13) {
                ck_assert_msg(feed_in_pieces(&response, malformed[i], piece) == RESPONSE_MALFORMED,
                              "%s", malformed[i]);
                ck_assert_ptr_nonnull(response.why);
                ck_assert_uint_lt(strlen(response.why), sizeof((struct load_result *)0)->malformed);
            }
    }
END_TEST

START_TEST(refuses_a_head_without_an_end)
    {
        static struct response response;
        char line[64];
        response_begin(&response);
        enum response_state state = response_feed(&response, OK, strlen(OK));
        for (int i = 0; i < 1000 && state == RESPONSE_MORE; i++) {
            int size = snprintf(line, sizeof line, "X-%d: abcdefghijklmnopqrstuvwxyz\r\n", i);
            state = response_feed(&response, line, (size_t)size);
        }
        ck_assert_int_eq(state, RESPONSE_MALFORMED);
        ck_assert_str_eq(response.why, "head too long");
    }
END_TEST

START_TEST(ends_a_body_of_no_known_length_with_the_connection)
    {
        static struct response response;
        const char *text = OK "Server: x\r\n\r\nsome";
        response_begin(&response);
        ck_assert_int_eq(response_feed(&response, text, strlen(text)), RESPONSE_MORE);
        ck_assert_int_eq(response_feed(&response, " more", 5), RESPONSE_MORE);
        ck_assert_int_eq(response_end(&response), RESPONSE_DONE);
        ck_assert_uint_eq(response.body, 9);
        ck_assert(!response.keep_alive);
    }
END_TEST

START_TEST(calls_any_other_early_end_incomplete)
    {
        static struct response response;
        for (size_t i = 0; i < COUNT(complete); i++) {
            size_t size = strlen(complete[i].text);
            for (size_t cut = 0; cut < size; cut++) {
                response_begin(&response);
                ck_assert_int_eq(response_feed(&response, complete[i].text, cut), RESPONSE_MORE);
                ck_assert_int_eq(response_end(&response), RESPONSE_MORE);
            }
        }
    }
END_TEST

START_TEST(tells_the_errors_of_connect_apart)
    {
        ck_assert_int_eq(load_connect_error(ECONNREFUSED), LOAD_connect_refused);
        ck_assert_int_eq(load_connect_error(ECONNRESET), LOAD_connect_reset);
        ck_assert_int_eq(load_connect_error(ETIMEDOUT), LOAD_connect_timeout);
        ck_assert_int_eq(load_connect_error(EADDRNOTAVAIL), LOAD_no_port);
        ck_assert_int_eq(load_connect_error(ENETUNREACH), LOAD_connect_other);
    }
END_TEST

int main(void)
{
    return HARNESS("load.response", reads_what_a_server_may_send_however_it_is_cut,
                   reads_what_comes_byte_by_byte, refuses_what_a_server_may_not_send,
                   refuses_a_head_without_an_end,
                   ends_a_body_of_no_known_length_with_the_connection,
                   calls_any_other_early_end_incomplete, tells_the_errors_of_connect_apart);
}
