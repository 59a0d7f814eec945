/* SPDX-License-Identifier: MIT
 *
 * /debug/captures, whatever was captured.
 */
#include "asking.h"

#include <errno.h>

static struct srun_config config;
static size_t there;
static int answer;
static enum admin_form asked;

static const struct admin_capture all[] = {
    {.number = 4, .time_ms = 1000, .cpu = true, .why = "120% of a processor for 10s", .size = 77},
    {.number = 5, .service = "db", .why = "stop takes 3s of 4s", .size = 88},
};

static size_t list(srun_runner *runner, struct admin_capture *out, size_t capacity)
{
    (void)runner;
    ck_assert_uint_ge(capacity, there);
    memcpy(out, all, there * sizeof all[0]);
    return there;
}

static int get(srun_runner *runner, uint64_t number, enum admin_form form,
               struct admin_capture *about, struct buf *out)
{
    (void)runner;
    asked = form;
    if (answer < 0)
        return answer;
    if (number != 4 && number != 5)
        return -ENOENT;
    *about = all[number - 4];
    bool fits = about->cpu ? form == ADMIN_PROTO || form == ADMIN_TOP : form == ADMIN_EACH;
    if (fits)
        buf_printf(out, "capture %d", (int)number);
    return fits ? 0 : -EINVAL;
}

static void begin(struct asking *asking, bool on)
{
    const struct admin_host host = {.config = &config, .captures = list, .capture = get};
    config.profile.capture = on;
    there = 2;
    answer = 0;
    *asking = (struct asking){.right = ADMIN_READ};
    ck_assert_int_eq(admin_new(&asking->admin, &host), 0);
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

START_TEST(lists_them_as_text_and_as_json)
    {
        struct asking asking;
        begin(&asking, true);
        const char *body = ask(&asking, debug_routes, "/debug/captures");
        ck_assert_ptr_nonnull(strstr(body, "CAPTURE  TIME"));
        ck_assert_ptr_nonnull(strstr(body, "cpu     -           77  120% of a processor for 10s"));
        ck_assert_ptr_nonnull(strstr(body, "stacks  db          88  stop takes 3s of 4s"));
        body = ask_json(&asking, debug_routes, "/debug/captures");
        ck_assert_ptr_nonnull(strstr(body, "\"captures_enabled\":true"));
        ck_assert_ptr_nonnull(strstr(
            body, "{\"number\":5,\"time_ms\":0,\"kind\":\"stacks\",\"service\":\"db\",\"why\":"
                  "\"stop takes 3s of 4s\",\"bytes\":88,\"path\":\"/debug/captures/5\"}"));
        there = 0;
        ck_assert_ptr_nonnull(
            strstr(ask(&asking, debug_routes, "/debug/captures/"), "Nothing was captured so far"));
        end(&asking);
    }
END_TEST

START_TEST(gives_each_in_its_forms)
    {
        struct asking asking;
        begin(&asking, true);
        expect(&asking, "/debug/captures/4", 200, "capture 4");
        ck_assert_str_eq(asking.exchange.type, "application/octet-stream");
        ck_assert_int_eq(asked, ADMIN_PROTO);
        expect(&asking, "/debug/captures/4?format=proto", 200, "capture 4");
        ck_assert_str_eq(asking.exchange.type, "application/octet-stream");
        expect(&asking, "/debug/captures/4?format=top", 200, "capture 4");
        ck_assert_str_ne(asking.exchange.type, "application/octet-stream");
        ck_assert_int_eq(asked, ADMIN_TOP);
        expect(&asking, "/debug/captures/5", 200, "capture 5");
        ck_assert_str_ne(asking.exchange.type, "application/octet-stream");
        expect(&asking, "/debug/captures/5?format=text", 200, "capture 5");
        expect(&asking, "/debug/captures/4?format=text", 200, "capture 4");
        ck_assert_int_eq(asked, ADMIN_TOP);
        ck_assert_str_ne(asking.exchange.type, "application/octet-stream");
        expect(&asking, "/debug/captures/4?format=flame", 400,
               "format: \"flame\": accepted are proto, top, text\n");
        expect(&asking, "/debug/captures/5?format=proto", 400,
               "format: \"proto\": accepted is text\n");
        end(&asking);
    }
END_TEST

START_TEST(says_that_there_is_none)
    {
        static const char *const urls[] = {"/debug/captures/3", "/debug/captures/x",
                                           "/debug/captures/-4", "/debug/captures/0",
                                           "/debug/captures/99999999999999999999"};
        struct asking asking;
        begin(&asking, true);
        for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++)
            expect(&asking, urls[i], 404, "there is no such capture; see /debug/captures\n");
        end(&asking);
        begin(&asking, false);
        expect(&asking, "/debug/captures/4", 404,
               "there is no such capture; see /debug/captures\n");
        expect(&asking, "/debug/captures", 200,
               "Captures are off: profile.capture, or SRUN_CAPTURE=true, turns them on.\n");
        const char *body = ask_json(&asking, debug_routes, "/debug/captures");
        ck_assert_ptr_nonnull(strstr(body, "\"captures_enabled\":false,\"captures\":[]"));
        end(&asking);
    }
END_TEST

int main(void)
{
    return HARNESS("admin_captures", lists_them_as_text_and_as_json, gives_each_in_its_forms,
                   says_that_there_is_none);
}
