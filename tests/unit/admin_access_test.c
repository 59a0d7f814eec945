/* SPDX-License-Identifier: MIT
 *
 * Who may do what: hosts, rights, tokens, sites. And the head of a request, read strictly.
 */
#include "admin/access.h"
#include "admin/exchange.h"
#include "admin/head.h"
#include "base/ensure.h"
#include "harness.h"

#include <stdio.h>
#include <string.h>

#define TOKEN "0123456789abcdef"

static const struct access_peer ours = {.local = true, .trusted = true};
static const struct access_peer stranger = {.local = true};
static const struct access_peer near = {.loopback = true};
static const struct access_peer far = {0};

static struct access_verdict judge(struct access_peer peer, enum admin_right needed,
                                   const char *authorization, const char *token)
{
    const struct access_ask ask = {.peer = peer,
                                   .needed = needed,
                                   .host = "127.0.0.1",
                                   .custom = "1",
                                   .writes = needed == ADMIN_WRITE,
                                   .authorization = authorization,
                                   .token = token};
    return access_judge(&ask);
}

static bool admits(const char *host, const char *allowed)
{
    const struct access_ask ask = {.peer = near, .host = host, .allowed_hosts = allowed};
    return access_admits_host(&ask);
}

/* --- hosts ----------------------------------------------------------------------------------- */

START_TEST(admits_addresses_localhost_and_allowed_names)
    {
        static const char *const good[] = {
            "127.0.0.1",     "127.0.0.1:8778",  "10.1.2.3:1", "[::1]",
            "[::1]:8778",    "[fe80::1]:1",     "localhost",  "LOCALHOST:65535",
            "admin.example", "Admin.Example:1", "b"};
        for (size_t i = 0; i < COUNT_OF(good); i++)
            ck_assert_msg(admits(good[i], " admin.example ,b"), "%s", good[i]);
        ck_assert(admits(NULL, NULL));
    }
END_TEST

START_TEST(admits_no_other_host)
    {
        static const char *const bad[] = {"",
                                          "evil.example",
                                          "localhost.",
                                          "localhost.evil.example",
                                          "127.0.0.1.",
                                          "127.1",
                                          "0x7f000001",
                                          "127.0.0.1.evil.example",
                                          "2130706433",
                                          "::1",
                                          "[::1",
                                          "[::1]x",
                                          "[::1]:",
                                          "127.0.0.1:",
                                          "127.0.0.1:x",
                                          "127.0.0.1:123456",
                                          "[localhost]",
                                          ":80",
                                          "admin.example.",
                                          "a,admin.example",
                                          " localhost",
                                          "localhost ",
                                          "[::1%lo]",
                                          "user@localhost"};
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            ck_assert_msg(!admits(bad[i], "admin.example"), "%s", bad[i]);
        char long_one[600];
        memset(long_one, 'a', sizeof long_one);
        long_one[sizeof long_one - 1] = '\0';
        ck_assert(!admits(long_one, long_one));
        ck_assert(!admits("b", NULL));
        ck_assert(!admits("b", ","));
    }
END_TEST

START_TEST(admits_any_host_on_the_unix_socket)
    {
        const struct access_ask ask = {.peer = ours, .host = "evil.example"};
        ck_assert(access_admits_host(&ask));
    }
END_TEST

/* --- rights ---------------------------------------------------------------------------------- */

START_TEST(gives_each_kind_of_client_its_right)
    {
        ck_assert_int_eq(judge(ours, ADMIN_PROBE, NULL, NULL).right, ADMIN_WRITE);
        ck_assert_int_eq(judge(near, ADMIN_PROBE, NULL, NULL).right, ADMIN_READ);
        ck_assert_int_eq(judge(far, ADMIN_PROBE, NULL, NULL).right, ADMIN_PROBE);
        ck_assert_int_eq(judge(stranger, ADMIN_PROBE, NULL, NULL).right, ADMIN_NOTHING);
        ck_assert_int_eq(judge(far, ADMIN_PROBE, "Bearer " TOKEN, TOKEN).right, ADMIN_WRITE);
        ck_assert_int_eq(judge(near, ADMIN_PROBE, "bearer " TOKEN, TOKEN).right, ADMIN_WRITE);
        ck_assert_int_eq(judge(stranger, ADMIN_PROBE, "Bearer " TOKEN, TOKEN).right, ADMIN_NOTHING);
    }
END_TEST

START_TEST(lets_in_who_has_the_right_and_nobody_else)
    {
        static const struct {
            const struct access_peer *peer;
            enum admin_right has;
        } peers[] = {{&stranger, ADMIN_NOTHING},
                     {&far, ADMIN_PROBE},
                     {&near, ADMIN_READ},
                     {&ours, ADMIN_WRITE}};
        for (size_t i = 0; i < COUNT_OF(peers); i++)
            for (int needed = ADMIN_NOTHING; needed <= ADMIN_WRITE; needed++) {
                struct access_verdict verdict =
                    judge(*peers[i].peer, (enum admin_right)needed, NULL, NULL);
                bool in = peers[i].has != ADMIN_NOTHING && peers[i].has >= (unsigned)needed;
                ck_assert_uint_eq(verdict.status, in ? 0 : 403);
                ck_assert(verdict.failed == !in && !verdict.challenge);
                ck_assert(in || verdict.why != NULL);
            }
    }
END_TEST

START_TEST(asks_for_the_token_only_when_there_is_one_and_none_was_given)
    {
        struct access_verdict verdict = judge(near, ADMIN_WRITE, NULL, TOKEN);
        ck_assert(verdict.status == 401 && verdict.challenge);
        verdict = judge(near, ADMIN_WRITE, "Bearer wrong", TOKEN);
        ck_assert(verdict.status == 403 && !verdict.challenge && verdict.failed);
        verdict = judge(near, ADMIN_READ, "Bearer wrong", TOKEN); /* counted, and let in */
        ck_assert(verdict.status == 0 && verdict.failed);
        verdict = judge(near, ADMIN_WRITE, "Bearer " TOKEN, NULL);
        ck_assert(verdict.status == 403 && !verdict.challenge);
    }
END_TEST

START_TEST(knows_the_token_from_all_others)
    {
        ck_assert(access_has_token("Bearer " TOKEN, TOKEN));
        static const char *const wrong[] = {"",
                                            "Bearer",
                                            "Bearer ",
                                            "Bearer 0123456789abcde",
                                            "Bearer " TOKEN "0",
                                            "Bearer " TOKEN TOKEN,
                                            "Bearer  " TOKEN,
                                            "Bearer 0123456789abcdeF",
                                            TOKEN,
                                            "Basic " TOKEN,
                                            "Bearer " TOKEN " "};
        for (size_t i = 0; i < COUNT_OF(wrong); i++)
            ck_assert_msg(!access_has_token(wrong[i], TOKEN), "%s", wrong[i]);
        ck_assert(!access_has_token(NULL, TOKEN));
        ck_assert(!access_has_token("Bearer ", ""));
        ck_assert(!access_has_token("Bearer " TOKEN, NULL));
    }
END_TEST

/* --- sites ----------------------------------------------------------------------------------- */

static unsigned write_from(const char *custom, const char *origin, const char *site)
{
    const struct access_ask ask = {.peer = ours,
                                   .needed = ADMIN_WRITE,
                                   .writes = true,
                                   .host = "127.0.0.1:8778",
                                   .custom = custom,
                                   .origin = origin,
                                   .fetch_site = site};
    return access_judge(&ask).status;
}

START_TEST(takes_writes_from_its_own_page_and_from_programs)
    {
        ck_assert_uint_eq(write_from("1", NULL, NULL), 0);
        ck_assert_uint_eq(write_from("1", "http://127.0.0.1:8778", "same-origin"), 0);
        ck_assert_uint_eq(write_from("1", NULL, "none"), 0);
    }
END_TEST

START_TEST(takes_no_write_that_another_site_could_cause)
    {
        static const char *const origins[] = {"http://evil.example",
                                              "null",
                                              "",
                                              "http://127.0.0.1",
                                              "http://127.0.0.1:87780",
                                              "ftp://127.0.0.1:8778",
                                              "127.0.0.1:8778",
                                              "http://127.0.0.1:8778/"};
        for (size_t i = 0; i < COUNT_OF(origins); i++)
            ck_assert_msg(write_from("1", origins[i], NULL) == 403, "%s", origins[i]);
        static const char *const sites[] = {"cross-site", "same-site", "", "Same-Origin"};
        for (size_t i = 0; i < COUNT_OF(sites); i++)
            ck_assert_uint_eq(write_from("1", NULL, sites[i]), 403);
        ck_assert_uint_eq(write_from(NULL, NULL, NULL), 403);
        ck_assert_uint_eq(write_from("0", NULL, NULL), 403);
        ck_assert_uint_eq(write_from("", NULL, NULL), 403);
    }
END_TEST

START_TEST(serves_links_of_another_site_but_nothing_that_it_embeds)
    {
        static const struct {
            const char *site, *mode, *dest;
            enum admin_right needed;
            unsigned status;
        } cases[] = {{"cross-site", "navigate", "document", ADMIN_READ, 0},
                     {"cross-site", "navigate", "iframe", ADMIN_READ, 403},
                     {"same-site", "navigate", "object", ADMIN_READ, 403},
                     {"cross-site", "navigate", "iframe", ADMIN_PROBE, 0},
                     {"same-origin", "navigate", "iframe", ADMIN_READ, 0},
                     {"cross-site", "no-cors", "image", ADMIN_READ, 403},
                     {"cross-site", "cors", NULL, ADMIN_READ, 403},
                     {"same-site", "no-cors", NULL, ADMIN_READ, 403},
                     {"same-site", "navigate", NULL, ADMIN_READ, 0},
                     {"cross-site", NULL, NULL, ADMIN_READ, 403},
                     {"cross-site", NULL, "document", ADMIN_READ, 403},
                     {"cross-site", "navigate", NULL, ADMIN_READ, 0},
                     {"cross-site", "no-cors", NULL, ADMIN_PROBE, 0},
                     {"same-origin", "cors", NULL, ADMIN_READ, 0},
                     {"none", "navigate", NULL, ADMIN_READ, 0},
                     {NULL, NULL, NULL, ADMIN_READ, 0}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            const struct access_ask ask = {.peer = near,
                                           .needed = cases[i].needed,
                                           .host = "127.0.0.1",
                                           .fetch_site = cases[i].site,
                                           .fetch_mode = cases[i].mode,
                                           .fetch_dest = cases[i].dest};
            ck_assert_uint_eq(access_judge(&ask).status, cases[i].status);
        }
    }
END_TEST

/* --- heads ----------------------------------------------------------------------------------- */

static enum head_state parse(const char *text, struct head *head)
{
    return head_parse(text, strlen(text), head);
}

START_TEST(needs_more_until_the_empty_line_and_looks_no_further)
    {
        static const char text[] =
            "POST /a HTTP/1.1\r\nhost:\t x \r\nCONTENT-LENGTH: 3\r\n\r\nabc\nnext";
        size_t end = (size_t)(strstr(text, "abc") - text);
        struct head head;
        for (size_t size = 0; size < end; size++)
            ck_assert_int_eq(head_parse(text, size, &head), HEAD_MORE);
        for (size_t size = end; size < sizeof text; size++) {
            ck_assert_int_eq(head_parse(text, size, &head), HEAD_DONE);
            ck_assert_uint_eq(head.size, end);
            ck_assert_uint_eq(head.body, 3);
            ck_assert(head.keep);
        }
    }
END_TEST

START_TEST(tells_who_wants_to_stay)
    {
        static const struct {
            const char *text;
            bool keep;
        } cases[] = {
            {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
            {"GET / HTTP/1.1\r\nHost: x\r\nConnection: a, Close\r\n\r\n", false},
            {"GET / HTTP/1.1\r\nHost: x\r\nConnection: closed\r\n\r\n", true},
            {"GET / HTTP/1.1\r\nHost: x\r\nConnection: a\r\nconnection:close\r\n\r\n", false},
            {"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", false}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct head head;
            ck_assert_int_eq(parse(cases[i].text, &head), HEAD_DONE);
            ck_assert(head.keep == cases[i].keep);
        }
    }
END_TEST

START_TEST(refuses_garbage_before_the_head_is_complete)
    {
        static const char *const garbage[] = {"\x16\x03\x01", "GET / HTTP/1.1\n", "GET /\x7f",
                                              "GET / HTTP/1.1\r\rX"};
        struct head head;
        for (size_t i = 0; i < COUNT_OF(garbage); i++) {
            ck_assert_int_eq(parse(garbage[i], &head), HEAD_REFUSED);
            ck_assert_uint_eq(head.status, 400);
            ck_assert_ptr_nonnull(head.why);
        }
        ck_assert_int_eq(head_parse("GET /\0", 6, &head), HEAD_REFUSED);
    }
END_TEST

START_TEST(takes_what_a_target_may_hold)
    {
        static const struct {
            const char *target;
            unsigned status;
        } cases[] = {{"/", 0},       {"/a?b=%0a", 0},    {"/a%41%ff?b#c", 400}, {"/a%7f", 400},
                     {"/a%1F", 400}, {"/a?b=%7f%", 400}, {"/a?b=%0", 400},      {"/\xc3\xa4", 400},
                     {"/%C3%A4", 0}, {"//x", 0},         {"/a%", 400},          {"/a%g0", 400}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            char text[128];
            struct head head;
            (void)snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n",
                           cases[i].target);
            (void)parse(text, &head);
            ck_assert_msg(head.status == cases[i].status, "%s: %u", text, head.status);
        }
    }
END_TEST

START_TEST(takes_a_body_up_to_its_limit_with_the_methods_that_have_one)
    {
        static const struct {
            const char *text;
            unsigned status;
            size_t body;
        } cases[] = {{"POST / HTTP/1.1\r\nHost: x\r\n\r\n", 0, 0},
                     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 065536\r\n\r\n", 0, 65536},
                     {"DELETE / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", 0, 1},
                     {"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 0, 0},
                     {"HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", 400, 1},
                     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", 400, 0},
                     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\n", 400, 0},
                     {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1 1\r\n\r\n", 400, 1}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct head head;
            enum head_state state = parse(cases[i].text, &head);
            ck_assert_msg(head.status == cases[i].status, "%s: %u", cases[i].text, head.status);
            ck_assert_int_eq(state, cases[i].status == 0 ? HEAD_DONE : HEAD_REFUSED);
            ck_assert_uint_eq(head.body, cases[i].body);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("admin_access", admits_addresses_localhost_and_allowed_names,
                   admits_no_other_host, admits_any_host_on_the_unix_socket,
                   gives_each_kind_of_client_its_right, lets_in_who_has_the_right_and_nobody_else,
                   asks_for_the_token_only_when_there_is_one_and_none_was_given,
                   knows_the_token_from_all_others,
                   takes_writes_from_its_own_page_and_from_programs,
                   takes_no_write_that_another_site_could_cause,
                   serves_links_of_another_site_but_nothing_that_it_embeds,
                   needs_more_until_the_empty_line_and_looks_no_further, tells_who_wants_to_stay,
                   refuses_garbage_before_the_head_is_complete, takes_what_a_target_may_hold,
                   takes_a_body_up_to_its_limit_with_the_methods_that_have_one);
}
