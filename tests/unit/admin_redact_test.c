/* SPDX-License-Identifier: MIT
 *
 * Secrets are taken out of what is shown: rather too much than too little.
 */
#include "admin/redact.h"
#include "harness.h"

static void assert_text(const char *text, const char *wanted)
{
    char out[256];
    ck_assert_str_eq(redact_text(out, sizeof out, text), wanted);
}

START_TEST(knows_a_secret_by_its_name_in_any_case)
    {
        static const char *const secret[] = {"db.password", "DB_PASSWD", "apiKey", "AUTH_TOKEN",
                                             "credentials", "main.dsn",  "oauth",  "Secret"};
        static const char *const open[] = {"", "http.address", "log.level", "timeouts.init", "pas"};
        for (size_t i = 0; i < sizeof secret / sizeof secret[0]; i++)
            ck_assert_msg(redact_is_secret(secret[i]), "%s", secret[i]);
        for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
            ck_assert_msg(!redact_is_secret(open[i]), "%s", open[i]);
    }
END_TEST

START_TEST(hides_the_whole_value_of_a_secret_and_leaves_an_empty_one)
    {
        char out[64];
        ck_assert_str_eq(redact_value(out, sizeof out, "db.password", "hunter2"), "***");
        ck_assert_str_eq(redact_value(out, sizeof out, "db.password", ""), "");
        ck_assert_str_eq(redact_value(out, sizeof out, "db.host", "localhost"), "localhost");
        ck_assert_str_eq(redact_value(out, 3, "token", "hunter2"), "**");
    }
END_TEST

START_TEST(removes_who_may_enter_from_addresses)
    {
        assert_text("postgres://user:hunter2@db/x", "postgres://***@db/x");
        assert_text("https://hunter2@host/", "https://***@host/");
        assert_text("user:hunter2@tcp(db)/x", "***@tcp(db)/x");
        assert_text("cannot reach amqp://u:hunter2@q:5672: refused",
                    "cannot reach amqp://***@q:5672: refused");
        assert_text("amqp://u:hun@ter2@q", "amqp://***@q");
        assert_text("amqp://u:hun/ter2@q", "amqp://***@q");
        assert_text("amqp://u:hun\"ter2@q", "amqp://***@q");
        assert_text("url=x://u:hunter2@q\nnext://v:hunter2@r", "url=x://***@q\nnext://***@r");
        assert_text("user=x url=x://u:hunter2", "user=x url=x://***"); /* cut off before the @ */
        assert_text("{\"a\":\"x\",\"url\":\"x://u:hunter2@q\"}",
                    "{\"a\":\"x\",\"url\":\"x://***@q\"}");
    }
END_TEST

START_TEST(removes_what_is_named_as_a_secret_within_text)
    {
        assert_text("host=db password=hunter2 user=x", "host=db password=*** user=x");
        assert_text("password = 'hun ter2' user=x", "password = '***' user=x");
        assert_text("password='hun''ter2' user=x", "password='***' user=x");
        assert_text("password=\"hun\\\"ter2\"", "password=\"***\"");
        assert_text("{\"token\": \"hunter2\", \"a\": 1}", "{\"token\": \"***\", \"a\": 1}");
        assert_text("Authorization: Bearer hunter2", "Authorization: ***");
        assert_text("http://h/?a=b&api_key=hunter2", "http://h/?a=b&api_key=***");
        assert_text("run --api-key hunter2 -v", "run --api-key *** -v");
        assert_text("run --db.password=hunter2 -v", "run --db.password=*** -v");
        assert_text("password=u:hunter2@host", "password=***");
        assert_text("dsn=postgres://u:hun,ter2@h", "dsn=***");
    }
END_TEST

START_TEST(leaves_other_text_as_it_is)
    {
        static const char *const texts[] = {
            "",
            " ",
            "connection refused",
            "checks passed: 3",
            "authentication failed",
            "no key",
            "https://host/path?a=b",
            "somebody@example.org",
            "127.0.0.1:8778",
            "listens on tcp://127.0.0.1:8778",
            "http://host:80/path",
            "tcp://db:80 and tcp://[::1]:80",
            "https://x:y is refused",
            "a=b, c=\"d\" (e): 100% of /x/y",
            "\xc3\xa4\xff\x01",
        };
        for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
            assert_text(texts[i], texts[i]);
    }
END_TEST

START_TEST(cuts_what_does_not_fit)
    {
        char out[8];
        ck_assert_str_eq(redact_text(out, sizeof out, "connection refused"), "connect");
        ck_assert_str_eq(redact_text(out, sizeof out, "x://u:hunter2@h"), "x://***");
        ck_assert_str_eq(redact_text(out, 1, "connection refused"), "");
    }
END_TEST

int main(void)
{
    return HARNESS("admin_redact", knows_a_secret_by_its_name_in_any_case,
                   hides_the_whole_value_of_a_secret_and_leaves_an_empty_one,
                   removes_who_may_enter_from_addresses,
                   removes_what_is_named_as_a_secret_within_text, leaves_other_text_as_it_is,
                   cuts_what_does_not_fit);
}
