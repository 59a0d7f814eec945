/* SPDX-License-Identifier: MIT
 *
 * /debug/: what is made of a request, and what is answered, whatever is profiled.
 */
#include "asking.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "base/json.h"

#include <errno.h>
#include <srun/runner.h>

static struct admin_profile_ask asked;
static int answer;
static struct srun_transition timeline[] = {
    {"db", SRUN_STOPPED, SRUN_INITIATING, 1000},
    {"db", SRUN_INITIATING, SRUN_RUNNING, 1005},
    {"web", SRUN_STOPPED, SRUN_INITIATING, 1006},
};

static int take(const struct admin_profile_ask *ask_for, struct buf *out, srun_err *err)
{
    asked = *ask_for;
    if (answer < 0)
        return srun_fail(err, answer, "the reason");
    buf_text(out, "profile");
    return 0;
}

static int name(const char *addresses, struct buf *out, srun_err *err)
{
    (void)err;
    buf_printf(out, "0x1 %s\n", addresses);
    return 0;
}

static size_t tell(srun_runner *runner, struct srun_transition *out, size_t capacity)
{
    (void)runner;
    ck_assert_uint_ge(capacity, 3);
    memcpy(out, timeline, sizeof timeline);
    return 3;
}

static int64_t listened;

static int listen_to(srun_runner *runner, int64_t span_ns, int cancel_fd, struct json *events,
                     uint64_t *missed, srun_err *err)
{
    (void)runner, (void)cancel_fd;
    listened = span_ns;
    if (answer < 0)
        return srun_fail(err, answer, "the reason");
    json_str(events, NULL, "a span");
    *missed = 7;
    return 0;
}

static void begin(struct asking *asking, bool able)
{
    struct admin_host host = {.timeline = tell};
    if (able) {
        host.spans = listen_to;
        host.profile = take;
        host.symbols = name;
    }
    *asking = (struct asking){.right = ADMIN_READ};
    ck_assert_int_eq(admin_new(&asking->admin, &host), 0);
    answer = 0;
}

static void end(struct asking *asking)
{
    exchange_free(&asking->exchange);
    (void)admin_free(asking->admin);
}

static void expect(struct asking *asking, const char *url, unsigned status, const char *body)
{
    const char *got = ask(asking, debug_routes, url);
    ck_assert_msg(asking->exchange.status == status && strcmp(got, body) == 0, "%s: %u %s", url,
                  asking->exchange.status, got);
}

START_TEST(has_the_paths_of_go_with_and_without_pprof)
    {
        static const struct {
            const char *name;
            enum admin_profile what;
        } all[] = {{"profile", ADMIN_CPU},     {"goroutine", ADMIN_THREADS},
                   {"threads", ADMIN_THREADS}, {"heap", ADMIN_HEAP},
                   {"allocs", ADMIN_HEAP},     {"mutex", ADMIN_MUTEX},
                   {"block", ADMIN_MUTEX},     {"threadcreate", ADMIN_BIRTHS}};
        struct asking asking;
        begin(&asking, true);
        for (size_t i = 0; i < COUNT_OF(all); i++)
            for (int flat = 0; flat < 2; flat++) {
                char url[64];
                (void)snprintf(url, sizeof url, "/debug/%s%s", flat ? "" : "pprof/", all[i].name);
                expect(&asking, url, 200, "profile");
                ck_assert_int_eq(asked.what, all[i].what);
                ck_assert_int_eq(asked.form, ADMIN_PROTO);
                ck_assert_str_eq(asking.exchange.type, "application/octet-stream");
            }
        end(&asking);
    }
END_TEST

START_TEST(reads_how_long_how_often_and_in_which_form)
    {
        static const struct {
            const char *query;
            double seconds;
            unsigned hz;
            enum admin_form form;
        } good[] = {{"", 30, 0, ADMIN_PROTO},
                    {"?seconds=5", 5, 0, ADMIN_PROTO},
                    {"?seconds=0", 30, 0, ADMIN_PROTO},
                    {"?seconds=0.25&hz=1000", 0.25, 1000, ADMIN_PROTO},
                    {"?seconds=300&debug=0", 300, 0, ADMIN_PROTO},
                    {"?debug=1", 30, 0, ADMIN_TOP},
                    {"?debug=2", 30, 0, ADMIN_EACH},
                    {"?format=folded", 30, 0, ADMIN_FOLDED},
                    {"?format=flame", 30, 0, ADMIN_FLAME},
                    {"?format=top", 30, 0, ADMIN_TOP}};
        struct asking asking;
        begin(&asking, true);
        for (size_t i = 0; i < COUNT_OF(good); i++) {
            char url[128];
            (void)snprintf(url, sizeof url, "/debug/pprof/profile%s", good[i].query);
            expect(&asking, url, 200, "profile");
            ck_assert_int_eq(asked.span_ns, (int64_t)(good[i].seconds * NS_PER_S));
            ck_assert_uint_eq(asked.hz, good[i].hz);
            ck_assert_int_eq(asked.form, good[i].form);
        }
        end(&asking);
    }
END_TEST

START_TEST(refuses_what_makes_no_sense)
    {
        struct asking asking;
        begin(&asking, true);
        expect(&asking, "/debug/pprof/profile?seconds=301", 400,
               "seconds: \"301\": accepted is a number up to 300\n");
        expect(&asking, "/debug/pprof/profile?seconds=nan", 400,
               "seconds: \"nan\": accepted is a number up to 300\n");
        expect(&asking, "/debug/pprof/profile?seconds=-1", 400,
               "seconds: \"-1\": accepted is a number up to 300\n");
        expect(&asking, "/debug/pprof/profile?hz=1001", 400,
               "hz: \"1001\": accepted is a number up to 1000\n");
        expect(&asking, "/debug/pprof/profile?hz=0.5", 400,
               "hz: \"0.5\": accepted is a whole number\n");
        expect(&asking, "/debug/pprof/heap?format=svg", 400,
               "format: \"svg\": accepted are proto, top, folded, flame, each\n");
        end(&asking);
    }
END_TEST

START_TEST(says_why_there_is_none)
    {
        struct asking asking;
        begin(&asking, true);
        answer = -EBUSY;
        expect(&asking, "/debug/pprof/profile", 409, "the reason\n");
        answer = -ENOTSUP;
        expect(&asking, "/debug/pprof/profile", 501, "the reason\n");
        answer = -ECANCELED;
        expect(&asking, "/debug/pprof/profile", 503, "the program is stopping\n");
        end(&asking);
        begin(&asking, false);
        expect(&asking, "/debug/pprof/profile", 501, "there are no profiles here\n");
        expect(&asking, "/debug/pprof/symbol", 501, "there are no names here\n");
        end(&asking);
    }
END_TEST

START_TEST(lists_what_there_is)
    {
        struct asking asking;
        begin(&asking, true);
        const char *const urls[] = {"/debug", "/debug/", "/debug/pprof", "/debug/pprof/"};
        for (size_t i = 0; i < COUNT_OF(urls); i++) {
            const char *body = ask(&asking, debug_routes, urls[i]);
            ck_assert_ptr_nonnull(strstr(body, "/debug/pprof/profile "));
            ck_assert_ptr_nonnull(strstr(body, "go tool pprof"));
        }
        const char *body = ask_json(&asking, debug_routes, "/debug/");
        ck_assert_ptr_nonnull(strstr(body, "\"profiling\":true"));
        expect(&asking, "/debug/nothing", 404,
               "there is no such page; /debug/ says what there is\n");
        end(&asking);
        begin(&asking, false);
        body = ask(&asking, debug_routes, "/debug/pprof/");
        ck_assert_ptr_null(strstr(body, "/debug/pprof/profile"));
        end(&asking);
    }
END_TEST

START_TEST(shows_the_life_of_services_as_a_trace)
    {
        struct asking asking;
        begin(&asking, true);
        const char *body = ask(&asking, debug_routes, "/debug/pprof/trace");
        ck_assert_msg(json_is_valid(body, strlen(body)), "%s", body);
        ck_assert_ptr_nonnull(strstr(body, "\"name\":\"INITIATING\",\"ph\":\"X\""));
        ck_assert_ptr_nonnull(strstr(body, "\"ts\":1000000,\"dur\":5000"));
        ck_assert_ptr_nonnull(strstr(body, "\"args\":{\"name\":\"web\"}"));
        ck_assert_ptr_null(strstr(body, "a span"));
        ck_assert_ptr_null(strstr(body, "spansMissed"));
        end(&asking);
    }
END_TEST

START_TEST(adds_the_spans_that_end_meanwhile)
    {
        struct asking asking;
        begin(&asking, true);
        const char *body = ask(&asking, debug_routes, "/debug/pprof/trace?seconds=2.5");
        ck_assert_msg(json_is_valid(body, strlen(body)), "%s", body);
        ck_assert_ptr_nonnull(strstr(body, "\"traceEvents\":[\"a span\",{"));
        ck_assert_ptr_nonnull(strstr(body, "\"otherData\":{\"spansMissed\":7}"));
        ck_assert_int_eq(listened, 5 * NS_PER_S / 2);
        expect(&asking, "/debug/pprof/trace?seconds=301", 400,
               "seconds: \"301\": accepted is a number up to 300\n");
        answer = -EBUSY;
        expect(&asking, "/debug/pprof/trace?seconds=1", 409, "the reason\n");
        answer = -ENOTSUP;
        expect(&asking, "/debug/pprof/trace?seconds=1", 501, "the reason\n");
        end(&asking);
        begin(&asking, false);
        expect(&asking, "/debug/pprof/trace?seconds=1", 501, "there are no spans here\n");
        end(&asking);
    }
END_TEST

START_TEST(names_addresses_for_pprof)
    {
        struct asking asking;
        begin(&asking, true);
        expect(&asking, "/debug/pprof/symbol", 200, "num_symbols: 1\n");
        asking_begin(&asking, "/debug/pprof/symbol");
        buf_text(&asking.exchange.body, "0x1+0x2");
        srun_err err = {0};
        const char *rest;
        ck_assert_int_eq(
            asking_find(debug_routes, "/debug/pprof/symbol", &rest)->view(&asking.exchange, &err),
            0);
        ck_assert_str_eq(asking.exchange.out.data, "num_symbols: 1\n0x1 0x1+0x2\n");
        end(&asking);
    }
END_TEST

START_TEST(tells_the_command_line)
    {
        struct asking asking;
        begin(&asking, true);
        const char *body = ask(&asking, debug_routes, "/debug/pprof/cmdline");
        ck_assert_ptr_nonnull(strstr(body, "admin_debug"));
        end(&asking);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_debug", has_the_paths_of_go_with_and_without_pprof,
                   reads_how_long_how_often_and_in_which_form, refuses_what_makes_no_sense,
                   says_why_there_is_none, lists_what_there_is,
                   shows_the_life_of_services_as_a_trace, adds_the_spans_that_end_meanwhile,
                   names_addresses_for_pprof, tells_the_command_line);
}
