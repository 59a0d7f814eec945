/* SPDX-License-Identifier: MIT
 *
 * Texts at their edges: what is shown to people, hidden from them, or read from them.
 */
#include "admin/columns.h"
#include "admin/redact.h"
#include "admin/verdict.h"
#include "base/ensure.h"
#include "base/parse.h"
#include "base/text.h"
#include "harness.h"
#include "log/record.h"
#include "log/rune.h"

#include <errno.h>
#include <string.h>

/* --- shown ----------------------------------------------------------------------------------- */

START_TEST(characters_that_are_not_seen_are_marks)
    {
        static const struct {
            const char *text, *shown;
        } cases[] = {
            {"a\xe2\x80\x8a|\xe2\x80\x8b|\xe2\x80\x8f|\xe2\x80\x90",
             "a\xe2\x80\x8a|?|?|\xe2\x80\x90"},
            {"\xe2\x80\xa9|\xe2\x80\xaa|\xe2\x80\xae|\xe2\x80\xaf", "?|?|?|\xe2\x80\xaf"},
            {"\xe2\x81\x9f|\xe2\x81\xa0|\xe2\x81\xaf|\xe2\x81\xb0",
             "\xe2\x81\x9f|?|?|\xe2\x81\xb0"},
            {"\xef\xbb\xbf|\xef\xbb\xbe|\xc2\x80|\x01|\xf0\x9f\x98\x80|\xff",
             "?|\xef\xbb\xbe|?|?|\xf0\x9f\x98\x80|?"},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            auto_buf struct buf out = {0};
            (void)columns_plain(&out, cases[i].text);
            ck_assert_str_eq(out.data, cases[i].shown);
        }
    }
END_TEST

START_TEST(a_number_of_an_error_without_a_name_is_shown)
    {
        static const int64_t strange[] = {INT64_MIN, INT32_MIN, (int64_t)INT32_MAX + 1, 123456};
        char out[ERRNO_TEXT_MAX];
        for (size_t i = 0; i < COUNT_OF(strange); i++) {
            size_t size = record_errno_text(out, strange[i]);
            ck_assert(size > 0 && out[size - 1] >= '0' && out[size - 1] <= '9');
        }
        size_t size = record_errno_text(out, EPERM);
        ck_assert_uint_eq(size, strlen("Operation not permitted"));
    }
END_TEST

START_TEST(what_lies_beyond_all_characters_prints_as_those_do)
    {
        ck_assert(!rune_prints(0x1f) && rune_prints('a') && !rune_prints(0x7f));
        ck_assert(!rune_prints(0x10ffff));
        ck_assert(!rune_prints(0xffffff00));
    }
END_TEST

/* --- hidden ---------------------------------------------------------------------------------- */

static const struct {
    const char *text, *shown;
} secrets[] = {
    {"password:\tx y", "password:\t*** y"},
    {"'password'='x y' z", "'password'='***' z"},
    {"--password x y", "--password *** y"},
    {"--password", "--password"},
    {"password x", "password x"},
    {"token://host/a", "token://host/a"},
    {"password=\"abc", "password=\"***"},
    {"password=\"a\\\"b\" c", "password=\"***\" c"},
    {"password=\"a\"\"b\" c", "password=\"***\" c"},
    {"password=\"abc\\", "password=\"***"},
    {"token: bearer\tx y", "token: *** y"},
    {"token: bearer y", "token: ***"},
    {"token: bearers y", "token: *** y"},
    {"password=secret=x y", "password=*** y"},
    {"password=secret=\"x y\" z", "password=***\" z"},
    {"password=secret='x y' z", "password=***' z"},
    {"password=\"\" c", "password=\"\" c"},
    {"password= ", "password= "},
};

START_TEST(a_secret_is_hidden_however_it_is_quoted)
    {
        char out[128];
        for (size_t i = 0; i < COUNT_OF(secrets); i++)
            ck_assert_str_eq(redact_text(out, sizeof out, secrets[i].text), secrets[i].shown);
    }
END_TEST

/* --- judged ---------------------------------------------------------------------------------- */

static const char *why(struct survey_service service, enum verdict_question question)
{
    static struct verdict out;
    verdict_service(&service, question, &out);
    return out.why;
}

START_TEST(a_verdict_says_what_is_known)
    {
        struct survey_service service = {.health = {.status = SRUN_HEALTH_UNHEALTHY}};
        ck_assert_str_eq(why(service, VERDICT_HEALTH),
                         srun_health_status_name(SRUN_HEALTH_UNHEALTHY));
        (void)strcpy(service.health.path, "a -> b");
        ck_assert_str_eq(why(service, VERDICT_HEALTH), "a -> b");
        (void)strcpy(service.health.note, "full");
        ck_assert_str_eq(why(service, VERDICT_HEALTH), "full; a -> b");
        service.health.path[0] = '\0';
        ck_assert_str_eq(why(service, VERDICT_HEALTH), "full");
        service.health.status = SRUN_HEALTH_DEGRADED;
        ck_assert_str_eq(why(service, VERDICT_HEALTH), "full");
        service.health.status = SRUN_HEALTH_HEALTHY;
        service.info.state = SRUN_STARTING;
        ck_assert_str_eq(why(service, VERDICT_READY), "is STARTING");
        (void)strcpy(service.waits_for, "db");
        ck_assert_str_eq(why(service, VERDICT_READY), "is STARTING, waits for db");
        (void)strcpy(service.info.error, "no disk");
        ck_assert_str_eq(why(service, VERDICT_READY), "is STARTING: no disk");
        service.info.stuck = true;
        ck_assert_str_eq(why(service, VERDICT_LIVE), "a thread is stuck");
    }
END_TEST

START_TEST(a_verdict_on_all_weighs_what_each_says)
    {
        struct survey_service services[2] = {
            {.info = {.name = "a", .state = SRUN_STARTING, .critical = true}},
            {.info = {.name = "b", .state = SRUN_RUNNING, .critical = true}}};
        struct survey survey = {.run = {.state = "running", .ready = 1},
                                .overall = SRUN_HEALTH_HEALTHY,
                                .count = 2,
                                .services = services};
        enum verdict_mark marks[2] = {VERDICT_LEFT_OUT, VERDICT_COUNTS};
        struct verdict out;
        verdict_program(&survey, VERDICT_READY, NULL, &out);
        ck_assert_int_eq(out.answer, VERDICT_OK); /* of a moment ago */
        survey.run.ready = 0;
        verdict_program(&survey, VERDICT_READY, NULL, &out);
        ck_assert_int_eq(out.answer, VERDICT_NOT_NOW);
        survey.overall = SRUN_HEALTH_UNHEALTHY;
        services[0].info.state = SRUN_RUNNING;
        verdict_program(&survey, VERDICT_HEALTH, NULL, &out);
        ck_assert_str_eq(out.why, "the program is unhealthy");
        verdict_program(&survey, VERDICT_LIVE, NULL, &out);
        ck_assert_int_eq(out.answer, VERDICT_OK);
        services[1].health.status = SRUN_HEALTH_UNHEALTHY; /* by one it does not name */
        services[1].health.own = SRUN_HEALTH_HEALTHY;
        verdict_program(&survey, VERDICT_HEALTH, marks, &out);
        ck_assert_int_eq(out.answer, VERDICT_FAILED);
        ck_assert_int_eq(marks[1], VERDICT_COUNTS);
    }
END_TEST

/* --- read ------------------------------------------------------------------------------------ */

START_TEST(a_level_has_letters_and_a_distance_of_digits)
    {
        static const char *const bad[] = {"INFO+",  "INFO+12345", "INFO+1x", "inf{",
                                          "INFO*1", "warm",       "INFO-",   "{nfo"};
        int level = 0;
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            ck_assert_msg(srun_level_parse(bad[i], &level) == -EINVAL, "%s", bad[i]);
        ck_assert_int_eq(srun_level_parse("iNfO+1234", &level), 0);
        ck_assert_int_eq(level, SRUN_LEVEL_INFO + 1234);
    }
END_TEST

START_TEST(a_number_that_does_not_fit_is_out_of_range)
    {
        int64_t value = 0;
        double real = 0;
        ck_assert_int_eq(parse_int("18446744073709551615", &value), -ERANGE);
        ck_assert_int_eq(parse_int("18446744073709551616", &value), -ERANGE);
        ck_assert_int_eq(parse_int("99999999999999999999999", &value), -ERANGE);
        ck_assert_int_eq(parse_double("1e999", &real), -ERANGE);
        char out[PARSE_DOUBLE_TEXT_MAX];
        ck_assert_str_eq(parse_double_text(out, 0.1), "0.1");
        ck_assert_str_eq(parse_double_text(out, 0.1 + 0.2), "0.30000000000000004");
    }
END_TEST

START_TEST(only_names_that_are_near_are_suggested)
    {
        char longer[100];
        memset(longer, 'a', sizeof longer - 1);
        longer[sizeof longer - 1] = '\0';
        struct text_nearest nearest = {.word = longer};
        text_nearest_offer(&nearest, "a");
        text_nearest_offer(&nearest, longer);
        ck_assert_ptr_null(nearest.best);
        nearest = (struct text_nearest){.word = "graceful"};
        text_nearest_offer(&nearest, longer);
        text_nearest_offer(&nearest, "gracxxul");
        text_nearest_offer(&nearest, "graceful_");
        text_nearest_offer(&nearest, "grxxeful");
        ck_assert_str_eq(nearest.best, "graceful_");
    }
END_TEST

START_TEST(characters_are_counted_to_the_end_at_most)
    {
        ck_assert_uint_eq(text_characters("\xc3\xa9\xc3\xa9", 4, 1), 2);
        ck_assert_uint_eq(text_characters("\xc3\xa9\xc3\xa9", 4, 3), 4);
        ck_assert_uint_eq(text_characters("\xff\xff\xff", 3, 2), 2);
        ck_assert(!text_printable("\xe2\x80\xa8", 9) && !text_printable("\xe2\x80\xa9", 9));
        ck_assert(!text_printable("\x7f", 9) && !text_printable("\xc2\x9f", 9));
        ck_assert(text_printable("\xc2\xa0", 9) && text_printable("\xe2\x80\xaa", 9));
    }
END_TEST

START_TEST(what_a_terminal_would_obey_becomes_question_marks)
    {
        char text[] = "a\x1b[2J\n\t\0|\x7f|\xc2\x9b"
                      "31m|\xc2\xa0\xc3\xa9|\xe2\x80\xa8|\x9b|\xc2";
        char line[] = "a\tb\nc";
        static const char clean[] = "a?[2J\n\t?|?|??31m|\xc2\xa0\xc3\xa9|???|?|?";
        text_clean(text, sizeof text - 1, "\n\t");
        ck_assert_mem_eq(text, clean, sizeof clean);
        text_clean(line, sizeof line - 1, "");
        ck_assert_str_eq(line, "a?b?c");
    }
END_TEST

START_TEST(only_well_formed_utf_8_is_a_character)
    {
        static const struct {
            const char *text;
            uint32_t rune;
        } cases[] = {
            {"a", 'a'},
            {"\xc2\x80", 0x80},
            {"\xdf\xbf", 0x7ff},
            {"\xe0\xa0\x80", 0x800},
            {"\xed\x9f\xbf", 0xd7ff},
            {"\xee\x80\x80", 0xe000},
            {"\xef\xbf\xbf", 0xffff},
            {"\xf0\x90\x80\x80", 0x10000},
            {"\xf4\x8f\xbf\xbf", 0x10ffff},
            {"\x80", TEXT_NO_RUNE},             /* goes on from nothing */
            {"\xc1\xbf", TEXT_NO_RUNE},         /* longer than it has to be */
            {"\xe0\x9f\xbf", TEXT_NO_RUNE},     /* the same */
            {"\xf0\x8f\xbf\xbf", TEXT_NO_RUNE}, /* the same */
            {"\xed\xa0\x80", TEXT_NO_RUNE},     /* a surrogate */
            {"\xf4\x90\x80\x80", TEXT_NO_RUNE}, /* beyond the last one */
            {"\xf5\x80\x80\x80", TEXT_NO_RUNE}, /* the same */
            {"\xe2\x82", TEXT_NO_RUNE},         /* ends too early */
            {"\xe2(\xac", TEXT_NO_RUNE},        /* does not go on */
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            uint32_t rune;
            size_t size = strlen(cases[i].text);
            size_t taken = text_rune(cases[i].text, size, &rune);
            ck_assert_uint_eq(rune, cases[i].rune);
            ck_assert_uint_eq(taken, rune == TEXT_NO_RUNE ? 1 : size);
        }
    }
END_TEST

START_TEST(a_text_is_cut_where_a_character_ends)
    {
        ck_assert_uint_eq(text_whole("", 0), 0);
        ck_assert_uint_eq(text_whole("ab", 2), 2);
        ck_assert_uint_eq(text_whole("a\xc3", 2), 1);
        ck_assert_uint_eq(text_whole("a\xe2\x82", 3), 1);
        ck_assert_uint_eq(text_whole("a\xe2\x82\xac", 4), 4);
        ck_assert_uint_eq(text_whole("\xf0\x9f\x98", 3), 0);
        ck_assert_uint_eq(text_whole("\xf0\x9f\x98\x80", 4), 4);
        ck_assert_uint_eq(text_whole("a\xff", 2), 2); /* no UTF-8: whatever it is, it was not cut */
        ck_assert_uint_eq(text_whole("\x80\x80\x80\x80", 4), 4);
        ck_assert_uint_eq(text_whole("\x80", 1), 1);
        ck_assert_uint_eq(text_fitting("a\xc3\xa9", 3, 3), 3);
        ck_assert_uint_eq(text_fitting("a\xc3\xa9", 3, 2), 1);
        char out[4];
        text_copy(out, sizeof out, "abcd");
        ck_assert_str_eq(out, "abc");
        text_copy(out, sizeof out, "a\xe2\x82\xac");
        ck_assert_str_eq(out, "a");
        text_copy(out, sizeof out, "\xe2\x82\xac");
        ck_assert_str_eq(out, "\xe2\x82\xac");
    }
END_TEST

START_TEST(any_text_can_be_the_name_of_a_file)
    {
        char out[8];
        ck_assert_uint_eq(text_file_name(out, sizeof out, "../a b/c"), 7);
        ck_assert_str_eq(out, "_._a_b_");
        (void)text_file_name(out, sizeof out, "Z-9_.z");
        ck_assert_str_eq(out, "Z-9_.z");
        (void)text_file_name(out, sizeof out, "!:@[`{~");
        ck_assert_str_eq(out, "_______");
        ck_assert_uint_eq(text_file_name(out, sizeof out, ""), 0);
        ck_assert_str_eq(out, "");
    }
END_TEST

START_TEST(a_percent_sign_wants_two_hexadecimal_digits)
    {
        static const struct {
            const char *text;
            int byte;
        } cases[] = {{"%00", 0},  {"%9f", 0x9f}, {"%Af", 0xaf}, {"%fF1", 0xff},
                     {"%", -1},   {"%1", -1},    {"%g1", -1},   {"%1@", -1},
                     {"%/0", -1}, {"12", -1},    {"", -1}};
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            ck_assert_int_eq(text_percent(cases[i].text, 3), cases[i].byte);
        ck_assert_int_eq(text_percent("%41", 2), -1);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "text_edges", characters_that_are_not_seen_are_marks,
        a_number_of_an_error_without_a_name_is_shown,
        what_lies_beyond_all_characters_prints_as_those_do, a_secret_is_hidden_however_it_is_quoted,
        a_verdict_says_what_is_known, a_verdict_on_all_weighs_what_each_says,
        a_level_has_letters_and_a_distance_of_digits, a_number_that_does_not_fit_is_out_of_range,
        only_names_that_are_near_are_suggested, characters_are_counted_to_the_end_at_most,
        what_a_terminal_would_obey_becomes_question_marks, only_well_formed_utf_8_is_a_character,
        a_text_is_cut_where_a_character_ends, any_text_can_be_the_name_of_a_file,
        a_percent_sign_wants_two_hexadecimal_digits);
}
