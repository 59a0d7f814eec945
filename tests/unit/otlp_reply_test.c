/* SPDX-License-Identifier: MIT
 *
 * Replies of receivers, and whether to try again: the OTLP specification's tables, row by row.
 */
#include "base/duration.h"
#include "base/ensure.h"
#include "harness.h"
#include "telemetry/reply.h"
#include "telemetry/retry.h"

#include <errno.h>
#include <string.h>

#define WALL INT64_C(784111777) /* Sun, 06 Nov 1994 08:49:37 GMT */

/* google.rpc.Status{code: 8, details: RetryInfo{retry_delay: 2.5 s}}, as base64. */
#define RETRY_INFO_2S "CAgaMgoodHlwZS5nb29nbGVhcGlzLmNvbS9nb29nbGUucnBjLlJldHJ5SW5mbxIGCgQIAhAB"

static struct transport_reply blank(void)
{
    return (struct transport_reply){.grpc_status = -1,
                                    .grpc_message = "",
                                    .grpc_details = "",
                                    .retry_after = "",
                                    .http_status = 200};
}

static struct retry_answer judged(struct transport_reply reply, bool grpc)
{
    struct retry_answer answer;
    retry_judge(&reply, grpc, WALL, &answer);
    return answer;
}

START_TEST(partial_success_is_read)
    {
        static const char body[] = "\x0a\x11\x08\x03\x12\x0dthree are bad";
        struct reply_partial partial;
        ck_assert(reply_partial(body, sizeof body - 1, &partial));
        ck_assert_uint_eq(partial.rejected, 3);
        ck_assert_str_eq(partial.text, "three are bad");
        ck_assert(reply_partial("", 0, &partial));
        ck_assert_uint_eq(partial.rejected, 0);
        ck_assert(!reply_partial("<html>", 6, &partial));
        ck_assert_uint_eq(partial.rejected, 0);
        static const char negative[] = "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01";
        ck_assert(reply_partial(negative, sizeof negative - 1, &partial));
        ck_assert_uint_eq(partial.rejected, 0);
    }
END_TEST

START_TEST(texts_of_receivers_cannot_forge_a_line)
    {
        static const char body[] = "\x0a\x0a\x12\x08"
                                   "a\nb\x1b[1m\xff";
        struct reply_partial partial;
        char out[REPLY_TEXT_MAX], text[1000];
        ck_assert(reply_partial(body, sizeof body - 1, &partial));
        ck_assert_str_eq(partial.text, "a?b?[1m?");
        reply_message("caf%C3%A9%0a%zz%4", out);
        ck_assert_str_eq(out, "caf\xc3\xa9?%zz%4");
        memset(text, 'x', sizeof text);
        reply_shown(out, sizeof out, text, sizeof text);
        ck_assert_uint_lt(strlen(out), sizeof out);
    }
END_TEST

START_TEST(retry_info_is_found_in_the_details)
    {
        struct reply_status status;
        ck_assert(reply_status_base64(RETRY_INFO_2S, &status));
        ck_assert_int_eq(status.code, 8);
        ck_assert_int_eq(status.retry_ns, 2 * NS_PER_S + 1);
        ck_assert(reply_status_base64("CAgSAm5v", &status)); /* {8, "no"} */
        ck_assert_str_eq(status.text, "no");
        ck_assert_int_eq(status.retry_ns, -1);
        ck_assert(reply_status_base64("CAg=", &status)); /* with padding, and without */
        ck_assert(reply_status_base64("CAg", &status));
        ck_assert_int_eq(status.code, 8);
        static const char *const bad[] = {"", "C", "CA g", "CAg====", "=CAg", "CAg=x", "////"};
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            ck_assert_msg(!reply_status_base64(bad[i], &status), "%s", bad[i]);
    }
END_TEST

START_TEST(http_statuses_are_retried_as_the_specification_says)
    {
        for (int status = 200; status < 600; status++) {
            struct transport_reply reply = blank();
            reply.http_status = status;
            enum retry_verdict wanted = status < 300 ? RETRY_DONE
                                        : status == 429 || (status >= 502 && status <= 504)
                                            ? RETRY_AGAIN
                                            : RETRY_LOST;
            struct retry_answer answer = judged(reply, false);
            ck_assert_msg(answer.verdict == wanted, "%d", status);
            ck_assert((answer.code == 0) == (wanted == RETRY_DONE));
            ck_assert_int_eq(answer.after_ns, -1);
            reply.retry_after = "7";
            answer = judged(reply, false);
            ck_assert_msg(answer.verdict == wanted, "%d", status);
            ck_assert_int_eq(answer.after_ns, wanted == RETRY_AGAIN ? 7 * NS_PER_S : -1);
        }
    }
END_TEST

START_TEST(grpc_codes_are_retried_as_the_specification_says)
    {
        static const bool again[] = {
            [1] = true, [4] = true, [10] = true, [11] = true, [14] = true, [15] = true};
        for (int code = 0; code <= 20; code++) {
            struct transport_reply reply = blank();
            reply.grpc_status = code;
            bool listed = (size_t)code < COUNT_OF(again) && again[code];
            struct retry_answer answer = judged(reply, true);
            ck_assert_msg(answer.verdict == (code == 0 ? RETRY_DONE
                                             : listed  ? RETRY_AGAIN
                                                       : RETRY_LOST),
                          "%d", code);
            reply.grpc_details = RETRY_INFO_2S;
            answer = judged(reply, true);
            bool with = listed || code == 8;
            ck_assert_msg((answer.verdict == RETRY_AGAIN) == with, "%d", code);
            ck_assert_int_eq(answer.after_ns, with ? 2 * NS_PER_S + 1 : -1);
        }
    }
END_TEST

START_TEST(a_grpc_reply_without_a_status_is_judged_by_http)
    {
        static const struct {
            int http;
            bool again;
        } cases[] = {{200, false}, {400, false}, {401, false}, {403, false}, {404, false},
                     {429, true},  {500, false}, {502, true},  {503, true},  {504, true}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct transport_reply reply = blank();
            reply.http_status = cases[i].http;
            ck_assert_msg(judged(reply, true).verdict ==
                              (cases[i].again ? RETRY_AGAIN : RETRY_LOST),
                          "%d", cases[i].http);
        }
    }
END_TEST

START_TEST(partial_success_is_never_retried)
    {
        static const char body[] = "\x0a\x11\x08\x03\x12\x0dthree are bad";
        struct transport_reply reply = blank();
        reply.body = (const unsigned char *)body;
        reply.size = sizeof body - 1;
        struct retry_answer answer = judged(reply, false);
        ck_assert_int_eq(answer.verdict, RETRY_DONE);
        ck_assert_uint_eq(answer.rejected, 3);
        ck_assert_str_eq(answer.text, "rejected in part: three are bad");
        reply.grpc_status = 0;
        ck_assert_uint_eq(judged(reply, true).rejected, 3);
    }
END_TEST

START_TEST(failures_of_the_transport_are_its_own_to_judge)
    {
        struct transport_reply reply = blank();
        reply.code = -EPROTO;
        strcpy(reply.text, "connection reset");
        ck_assert_int_eq(judged(reply, false).verdict, RETRY_LOST);
        reply.again = true;
        ck_assert_int_eq(judged(reply, true).verdict, RETRY_AGAIN);
        ck_assert_str_eq(judged(reply, true).text, "connection reset");
    }
END_TEST

START_TEST(retry_after_is_a_number_or_a_date)
    {
        static const struct {
            const char *text;
            int64_t seconds;
        } cases[] = {
            {"0", 0},
            {"120", 120},
            {"99999999999999999999", INT32_MAX},
            {"Sun, 06 Nov 1994 08:49:39 GMT", 2},
            {"Sunday, 06-Nov-94 08:49:39 GMT", 2},
            {"Sun Nov  6 08:49:39 1994", 2},
            {"Sun, 06 Nov 1994 08:49:00 GMT", 0},
            {"Tue, 06 Nov 2074 08:49:37 GMT", INT32_MAX},
            {"Sun, 06 Nov 9999 08:49:37 GMT", INT32_MAX},
            {"Sun, 06 Nov 1995 08:49:37 GMT", 365 * 86400},
            {"Sun Nov 16 08:49:37 1994", 10 * 86400},
            {"Saturday, 06-Nov-49 08:49:37 GMT", 1735689600},
            {"Sun, 00 Nov 1994 08:49:39 GMT", -1},
            {"Sun, 06 Nov 1994 08:60:39 GMT", -1},
            {"Sun, 06 Nov 1994 08:49:61 GMT", -1},
            {"Sun, 06 Nov 1969 08:49:39 GMT", -1},
            {"Sun, 06 Nov :994 08:49:39 GMT", -1},
            {"Sun, 06 Nov 19!4 08:49:39 GMT", -1},
            {"", -1},
            {"-1", -1},
            {"1.5", -1},
            {"2s", -1},
            {" 2", -1},
            {"Sun, 06 Nov 1994 08:49:39 CET", -1},
            {"Sun, 06 Foo 1994 08:49:39 GMT", -1},
            {"Sun, 06 Nov 1994 08:49:39 GMT and more", -1},
            {"Sun, 99 Nov 1994 08:49:39 GMT", -1},
            {"Sun, 06 Nov 1994 25:49:39 GMT", -1},
            {"soon", -1},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            ck_assert_msg(retry_after_s(cases[i].text, WALL) == cases[i].seconds, "%s: %lld",
                          cases[i].text, (long long)retry_after_s(cases[i].text, WALL));
    }
END_TEST

START_TEST(waits_double_up_to_a_limit_and_are_spread)
    {
        for (unsigned attempt = 1; attempt < 40; attempt++) {
            int64_t base = attempt < 6 ? NS_PER_S << (attempt - 1) : 30 * NS_PER_S;
            int64_t least = INT64_MAX, most = 0;
            for (uint32_t chance = 0; chance < 1000; chance++) {
                int64_t wait = retry_wait_ns(attempt, -1, chance);
                least = wait < least ? wait : least;
                most = wait > most ? wait : most;
            }
            ck_assert_int_eq(least, base / 2);
            ck_assert_int_gt(most, base * 14 / 10);
            ck_assert_int_le(most, base * 3 / 2);
        }
        for (uint32_t chance = 0; chance < 1000; chance++) {
            int64_t wait = retry_wait_ns(1, 2 * NS_PER_S, chance);
            ck_assert(wait >= 2 * NS_PER_S && wait <= 3500 * NS_PER_MS);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("otlp_reply", partial_success_is_read, texts_of_receivers_cannot_forge_a_line,
                   retry_info_is_found_in_the_details,
                   http_statuses_are_retried_as_the_specification_says,
                   grpc_codes_are_retried_as_the_specification_says,
                   a_grpc_reply_without_a_status_is_judged_by_http,
                   partial_success_is_never_retried, failures_of_the_transport_are_its_own_to_judge,
                   retry_after_is_a_number_or_a_date, waits_double_up_to_a_limit_and_are_spread);
}
