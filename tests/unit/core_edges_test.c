/* SPDX-License-Identifier: MIT
 *
 * What those that decide do with what nobody should say to them, and at the ends of time.
 */
#include "admin/access.h"
#include "admin/connections.h"
#include "admin/head.h"
#include "base/duration.h"
#include "base/ensure.h"
#include "harness.h"
#include "health/board.h"
#include "lifecycle.h"
#include "profile/kept.h"
#include "sequence.h"
#include "telemetry/w3c.h"
#include "upgrade/machine.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- lifecycle, sequence --------------------------------------------------------------------- */

START_TEST(a_state_that_is_none_leads_nowhere)
    {
        ck_assert_int_eq(lifecycle_next((srun_state)LIFECYCLE_STATES, LIFECYCLE_INIT), -1);
        ck_assert_int_eq(lifecycle_next(SRUN_STOPPED, (enum lifecycle_event)LIFECYCLE_EVENTS), -1);
        ck_assert_str_eq(srun_state_name((srun_state)LIFECYCLE_STATES), "UNKNOWN");
    }
END_TEST

static struct sequence *one_service(struct sequence_service service)
{
    const struct sequence_limits limits = {.graceful_ns = 1000, .stuck_grace_ns = 10};
    service.init_ns = service.ready_ns = service.stop_ns = 100;
    struct sequence *seq = sequence_new(&service, 1, &limits);
    ck_assert_ptr_nonnull(seq);
    return seq;
}

static void feed(struct sequence *seq, enum sequence_event_kind kind, int code, int64_t now)
{
    sequence_feed(seq, &(struct sequence_event){.kind = kind, .code = code}, now);
}

/* Does all there is to do; was this among it? */
static bool does(struct sequence *seq, enum sequence_action_kind kind, int64_t now)
{
    struct sequence_action action;
    bool found = false;
    while (sequence_next(seq, now, &action))
        found = found || action.kind == kind;
    return found;
}

START_TEST(a_sequence_does_nothing_before_its_start_and_after_its_end)
    {
        struct sequence *seq = one_service((struct sequence_service){.has_run = true});
        ck_assert(!does(seq, SEQUENCE_STATE, 0));
        ck_assert_int_eq(sequence_wake(seq), SEQUENCE_NEVER);
        sequence_start(seq, 0);
        ck_assert(does(seq, SEQUENCE_CALL_RUN, 0));
        feed(seq, SEQUENCE_SHUTDOWN, 0, 1);
        ck_assert(does(seq, SEQUENCE_CANCEL, 1));
        feed(seq, SEQUENCE_RUN_RETURNED, 0, 2);
        ck_assert(does(seq, SEQUENCE_DONE, 2));
        ck_assert(!does(seq, SEQUENCE_DONE, 3));
        ck_assert_int_eq(sequence_wake(seq), SEQUENCE_NEVER);
        feed(seq, SEQUENCE_SHUTDOWN, 0, 3);
        ck_assert(!does(seq, SEQUENCE_DRAINING, 3));
        (void)sequence_free(seq);
    }
END_TEST

START_TEST(a_sequence_hears_nothing_that_nobody_can_say)
    {
        struct sequence *seq =
            one_service((struct sequence_service){.has_init = true, .has_run = true});
        sequence_start(seq, 0);
        ck_assert(does(seq, SEQUENCE_CALL_INIT, 0));
        sequence_feed(seq, &(struct sequence_event){.kind = SEQUENCE_READY, .service = 1}, 0);
        feed(seq, (enum sequence_event_kind)99, 0, 0);
        feed(seq, SEQUENCE_READY, 0, 0); /* it does not run yet */
        ck_assert(!does(seq, SEQUENCE_STARTED, 0));
        feed(seq, SEQUENCE_INIT_RETURNED, 0, 1);
        ck_assert(does(seq, SEQUENCE_CALL_RUN, 1));
        feed(seq, SEQUENCE_READY, 0, 1);
        ck_assert(does(seq, SEQUENCE_STARTED, 1));
        (void)sequence_free(seq);
    }
END_TEST

START_TEST(a_run_is_over_when_it_has_returned_and_does_not_go_on_elsewhere)
    {
        static const struct {
            int code;
            bool over;
        } cases[] = {{0, true}, {SRUN_RUN_BACKGROUND, false}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct sequence *seq = one_service((struct sequence_service){.has_run = true});
            ck_assert(!sequence_run_is_over(seq, 0));
            sequence_start(seq, 0);
            ck_assert(does(seq, SEQUENCE_CALL_RUN, 0));
            feed(seq, SEQUENCE_READY, 0, 0);
            ck_assert(does(seq, SEQUENCE_STARTED, 0));
            ck_assert(!sequence_run_is_over(seq, 0));
            feed(seq, SEQUENCE_RUN_RETURNED, cases[i].code, 1);
            (void)does(seq, SEQUENCE_DONE, 1);
            ck_assert_int_eq(sequence_run_is_over(seq, 0), cases[i].over);
            (void)sequence_free(seq);
        }
        struct sequence *passive = one_service((struct sequence_service){.has_stop = true});
        sequence_start(passive, 0);
        ck_assert(does(passive, SEQUENCE_STARTED, 0));
        ck_assert(!sequence_run_is_over(passive, 0)); /* there is none */
        (void)sequence_free(passive);
    }
END_TEST

START_TEST(a_run_that_ends_as_it_was_told_to_is_no_failure)
    {
        static const struct {
            int code, exit_code;
        } cases[] = {{0, 0}, {-ECANCELED, 0}, {-EINTR, 0}, {-EIO, 1}};
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            struct sequence *seq = one_service((struct sequence_service){.has_run = true});
            sequence_start(seq, 0);
            (void)does(seq, SEQUENCE_CALL_RUN, 0);
            feed(seq, SEQUENCE_SHUTDOWN, 0, 1);
            (void)does(seq, SEQUENCE_CANCEL, 1);
            feed(seq, SEQUENCE_RUN_RETURNED, cases[i].code, 2);
            ck_assert(does(seq, SEQUENCE_DONE, 2));
            ck_assert_int_eq(sequence_outcome(seq).exit_code, cases[i].exit_code);
            (void)sequence_free(seq);
        }
    }
END_TEST

START_TEST(a_service_that_was_given_up_fails_no_more)
    {
        const struct sequence_limits limits = {.graceful_ns = 1000, .stuck_grace_ns = 10};
        const struct sequence_service services[] = {
            {.has_run = true, .init_ns = 100, .ready_ns = 100, .stop_ns = 900},
            {.has_run = true, .init_ns = 100, .ready_ns = 100, .stop_ns = 50, .unit = 1}};
        struct sequence *seq = sequence_new(services, 2, &limits);
        ck_assert_ptr_nonnull(seq);
        sequence_start(seq, 0);
        (void)does(seq, SEQUENCE_CALL_RUN, 0);
        sequence_feed(seq, &(struct sequence_event){.kind = SEQUENCE_READY, .service = 0}, 0);
        (void)does(seq, SEQUENCE_CALL_RUN, 0);
        sequence_feed(seq, &(struct sequence_event){.kind = SEQUENCE_READY, .service = 1}, 0);
        ck_assert(does(seq, SEQUENCE_STARTED, 0));
        feed(seq, SEQUENCE_SHUTDOWN, 0, 1);
        for (int64_t now = 1; now < 200 && !sequence_is_stuck(seq, 1); now++)
            (void)does(seq, SEQUENCE_GIVE_UP, now);
        ck_assert(sequence_is_stuck(seq, 1));
        int before = sequence_outcome(seq).exit_code;
        sequence_feed(
            seq,
            &(struct sequence_event){.kind = SEQUENCE_RUN_RETURNED, .service = 1, .code = -EIO},
            201);
        ck_assert_int_eq(sequence_outcome(seq).exit_code, before);
        (void)sequence_free(seq);
    }
END_TEST

START_TEST(a_service_is_not_ready_before_its_run_is_called)
    {
        struct sequence *seq = one_service((struct sequence_service){.has_run = true});
        struct sequence_action action;
        sequence_start(seq, 0);
        while (sequence_state(seq, 0) != SRUN_STARTING)
            ck_assert(sequence_next(seq, 0, &action));
        feed(seq, SEQUENCE_READY, 0, 0);
        ck_assert(!does(seq, SEQUENCE_STARTED, 0));
        feed(seq, SEQUENCE_READY, 0, 0);
        ck_assert(does(seq, SEQUENCE_STARTED, 0));
        (void)sequence_free(seq);
    }
END_TEST

START_TEST(a_limit_that_has_passed_is_not_extended)
    {
        struct sequence *seq =
            one_service((struct sequence_service){.has_init = true, .has_run = true});
        sequence_start(seq, 0);
        ck_assert(does(seq, SEQUENCE_CALL_INIT, 0));
        ck_assert(does(seq, SEQUENCE_OVERRUN, 101));
        int64_t deadline = sequence_deadline(seq, 0);
        sequence_feed(seq, &(struct sequence_event){.kind = SEQUENCE_EXTEND, .extend_ns = 500},
                      102);
        ck_assert_int_eq(sequence_deadline(seq, 0), deadline);
        ck_assert(does(seq, SEQUENCE_GIVE_UP, 200));
        sequence_feed(seq, &(struct sequence_event){.kind = SEQUENCE_EXTEND, .extend_ns = 500},
                      201);
        ck_assert(sequence_is_stuck(seq, 0));
        (void)sequence_free(seq);
    }
END_TEST

START_TEST(as_many_restarts_are_counted_as_a_limit_can_be)
    {
        struct sequence *seq =
            one_service((struct sequence_service){.has_run = true,
                                                  .ready_on_entry = true,
                                                  .restart = {.when = SRUN_RESTART_ALWAYS,
                                                              .backoff_min_ns = 1,
                                                              .backoff_max_ns = 1,
                                                              .window_ns = 1000000,
                                                              .limit = SEQUENCE_RESTARTS_MAX}});
        int64_t now = 0;
        unsigned lives = 0;
        sequence_start(seq, now);
        for (; does(seq, SEQUENCE_CALL_RUN, now) && lives < 5; lives++) { /* these are forgotten */
            feed(seq, SEQUENCE_RUN_RETURNED, -EIO, now);
            (void)does(seq, SEQUENCE_RESTARTING, now);
            now += 2000000;
        }
        feed(seq, SEQUENCE_RUN_RETURNED, -EIO, now);
        (void)does(seq, SEQUENCE_RESTARTING, now);
        now += 10;
        lives = 1;
        for (; does(seq, SEQUENCE_CALL_RUN, now) && lives < 100; lives++) {
            feed(seq, SEQUENCE_RUN_RETURNED, -EIO, now);
            (void)does(seq, SEQUENCE_RESTARTING, now);
            now += 10;
        }
        ck_assert_uint_eq(lives, SEQUENCE_RESTARTS_MAX + 1);
        (void)sequence_free(seq);
    }
END_TEST

static void answer(struct sequence *seq, unsigned service, enum sequence_event_kind kind, int code)
{
    sequence_feed(seq, &(struct sequence_event){.kind = kind, .service = service, .code = code}, 1);
}

/* One that was being restarted when the end began, and has ended before its turn. */
START_TEST(time_that_a_service_no_longer_needs_is_there_for_the_others)
    {
        const struct sequence_limits limits = {.graceful_ns = 1000, .stuck_grace_ns = 10};
        const struct sequence_service usual = {.has_run = true,
                                               .has_stop = true,
                                               .ready_on_entry = true,
                                               .init_ns = 100,
                                               .ready_ns = 100};
        struct sequence_service services[3] = {usual, usual, usual};
        const int64_t stop_ns[3] = {800, 900, 200};
        for (unsigned i = 0; i < 3; i++) {
            services[i].unit = i;
            services[i].stop_ns = stop_ns[i];
        }
        services[1].restart.when = SRUN_RESTART_ON_FAILURE;
        services[1].restart.limit = 1;
        struct sequence *seq = sequence_new(services, 3, &limits);
        ck_assert_ptr_nonnull(seq);
        sequence_start(seq, 1);
        ck_assert(does(seq, SEQUENCE_STARTED, 1));
        answer(seq, 1, SEQUENCE_RUN_RETURNED, -EIO);
        ck_assert(does(seq, SEQUENCE_CALL_STOP, 1));
        answer(seq, 0, SEQUENCE_SHUTDOWN, 0);
        ck_assert(does(seq, SEQUENCE_CALL_STOP, 1));
        ck_assert_int_eq(sequence_deadline(seq, 2), 1 + 200 * 1000 / 1900);
        answer(seq, 1, SEQUENCE_STOP_RETURNED, 0);
        (void)does(seq, SEQUENCE_STATE, 1);
        answer(seq, 2, SEQUENCE_STOP_RETURNED, 0);
        answer(seq, 2, SEQUENCE_RUN_RETURNED, 0);
        ck_assert(does(seq, SEQUENCE_CALL_STOP, 1));
        ck_assert_int_eq(sequence_deadline(seq, 0), 1 + 800); /* it is alone with 1000 */
        (void)sequence_free(seq);
    }
END_TEST

/* Neither a stop that fails, nor one that takes too long and comes home after all. */
START_TEST(what_a_restart_has_mended_is_not_in_the_exit_code)
    {
        struct sequence *seq =
            one_service((struct sequence_service){.has_run = true,
                                                  .has_stop = true,
                                                  .ready_on_entry = true,
                                                  .restart = {.when = SRUN_RESTART_ON_FAILURE,
                                                              .backoff_min_ns = 1,
                                                              .backoff_max_ns = 1,
                                                              .window_ns = 1,
                                                              .limit = 1}});
        int64_t now = 0;
        sequence_start(seq, now);
        ck_assert(does(seq, SEQUENCE_STARTED, now));
        for (int life = 0; life < 2; life++, now += 100) {
            feed(seq, SEQUENCE_RUN_RETURNED, -EIO, now);
            ck_assert(does(seq, SEQUENCE_CALL_STOP, now));
            if (life == 1)
                ck_assert(does(seq, SEQUENCE_OVERRUN, now += 101));
            feed(seq, SEQUENCE_STOP_RETURNED, -EIO, now);
            ck_assert(does(seq, SEQUENCE_RESTARTING, now));
            ck_assert(does(seq, SEQUENCE_CALL_RUN, now += 10));
        }
        feed(seq, SEQUENCE_SHUTDOWN, 0, now);
        ck_assert(does(seq, SEQUENCE_CALL_STOP, now));
        feed(seq, SEQUENCE_STOP_RETURNED, 0, now);
        feed(seq, SEQUENCE_RUN_RETURNED, 0, now);
        ck_assert(does(seq, SEQUENCE_DONE, now));
        ck_assert_int_eq(sequence_outcome(seq).exit_code, 0);
        (void)sequence_free(seq);
    }
END_TEST

/* --- upgrades -------------------------------------------------------------------------------- */

START_TEST(a_machine_takes_no_answer_that_it_did_not_ask_for)
    {
        const struct machine_limits limits = {.handshake_ns = 5, .start_ns = 50};
        struct machine machine;
        struct machine_action action;
        machine_init(&machine, &limits, false);
        for (int kind = MACHINE_REFUSED; kind < 99; kind++)
            if (kind != MACHINE_ENDING && kind != MACHINE_ENDED && kind != MACHINE_STARTED)
                machine_feed(&machine,
                             &(struct machine_event){.kind = (enum machine_event_kind)kind}, 0);
        ck_assert(!machine_next(&machine, MACHINE_NEVER, &action));
        ck_assert(machine.state == MACHINE_IDLE);
        machine_feed(&machine, &(struct machine_event){.kind = MACHINE_STARTED}, 0);
        while (machine_next(&machine, 0, &action))
            ;
        machine_feed(&machine, &(struct machine_event){.kind = MACHINE_STARTED}, 0);
        ck_assert(!machine_next(&machine, 0, &action));
        ck_assert_str_eq(machine_state_name((enum machine_state)MACHINE_STATES), "?");
    }
END_TEST

START_TEST(a_limit_beyond_the_end_of_time_is_never)
    {
        const struct machine_limits limits = {.handshake_ns = 5, .start_ns = 50};
        struct machine machine;
        struct machine_action action;
        int64_t late = MACHINE_NEVER - 4;
        machine_init(&machine, &limits, false);
        machine_feed(&machine, &(struct machine_event){.kind = MACHINE_STARTED}, late);
        machine_feed(&machine, &(struct machine_event){.kind = MACHINE_ASKED}, late);
        while (machine_next(&machine, late, &action))
            ;
        machine_feed(&machine, &(struct machine_event){.kind = MACHINE_SPAWNED}, late);
        ck_assert_int_eq(machine_wake(&machine), MACHINE_NEVER);
    }
END_TEST

START_TEST(a_machine_knows_whom_it_has)
    {
        for (int state = 0; state < MACHINE_STATES; state++) {
            struct machine machine = {.state = (enum machine_state)state};
            ck_assert_int_eq(machine_has_heir(&machine),
                             state >= MACHINE_INIT && state <= MACHINE_DRAIN);
            ck_assert_int_eq(machine_is_on_probation(&machine), state == MACHINE_HEIR);
            machine.settled = true;
            ck_assert(!machine_is_on_probation(&machine));
        }
    }
END_TEST

/* --- health, profiles ------------------------------------------------------------------------ */

START_TEST(a_board_takes_no_answer_that_it_did_not_ask_for)
    {
        const struct board_rules rules = {.name = "a",
                                          .has_check = true,
                                          .interval_ns = (int64_t)1 << 40,
                                          .timeout_ns = 10,
                                          .rise = 1,
                                          .fall = 1};
        const struct board_result good = {.status = SRUN_HEALTH_HEALTHY, .note = ""};
        struct board *board = board_new(&rules, 1, 1);
        struct board_action action;
        int64_t late = BOARD_NEVER - 1000;
        ck_assert_ptr_nonnull(board);
        ck_assert(!board_answered(board, 0, &good, 0));
        board_ask(board, 0, 0);       /* it is not alive */
        board_not_begun(board, 0, 0); /* nor asked */
        board_begin(board, 0);
        board_up(board, 0, late);
        board_ask(board, 0, late);
        bool asked = false;
        while (board_next(board, late, &action))
            asked = asked || action.kind == BOARD_CHECK;
        ck_assert(asked);
        ck_assert(board_answered(board, 0, &good, late));
        ck_assert(!board_answered(board, 0, &good, late));
        bool between = false; /* the services have been told of, and the whole not yet */
        while (board_next(board, late, &action))
            between = between || (action.kind == BOARD_CHANGED && board_wake(board) == INT64_MIN);
        ck_assert(between);
        ck_assert_int_eq(board_wake(board), BOARD_NEVER); /* the next one is beyond all time */
        board_free(board);
    }
END_TEST

START_TEST(a_check_that_hangs_has_begun)
    {
        const struct board_rules rules = {.name = "a",
                                          .has_check = true,
                                          .interval_ns = 1000,
                                          .timeout_ns = 10,
                                          .rise = 1,
                                          .fall = 1};
        struct board *board = board_new(&rules, 1, 1);
        struct board_action action;
        bool hung = false;
        ck_assert_ptr_nonnull(board);
        board_begin(board, 0);
        board_up(board, 0, 0);
        board_ask(board, 0, 0);
        while (board_next(board, 0, &action))
            ;
        board_not_begun(board, 0, 1); /* its time begins anew */
        while (board_next(board, 100, &action))
            hung = hung || action.kind == BOARD_HUNG;
        ck_assert(hung);
        int64_t wake = board_wake(board);
        board_not_begun(board, 0, 100);
        ck_assert_int_eq(board_wake(board), wake);
        board_free(board);
    }
END_TEST

START_TEST(a_profile_that_has_failed_is_not_kept)
    {
        static struct kept kept;
        struct kept_item body = {.body.failed = true}, top = {.top.failed = true};
        ck_assert_int_eq(kept_add(&kept, &body), -ENOMEM);
        ck_assert_int_eq(kept_add(&kept, &top), -ENOMEM);
        ck_assert_uint_eq(kept.count, 0);
    }
END_TEST

/* --- requests -------------------------------------------------------------------------------- */

static enum head_state parse(const char *first, const char *field)
{
    auto_buf struct buf text = {0};
    struct head head;
    buf_printf(&text, "%s\r\nHost: a\r\n%s\r\n\r\n", first, field);
    return head_parse(text.data, text.size, &head);
}

START_TEST(the_name_of_a_field_is_a_token)
    {
        char field[8] = "aX: b";
        for (int c = '!'; c <= '~'; c++) {
            field[1] = (char)c;
            bool token = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || strchr("!#$%&'*+-.^_`|~:", c) != NULL;
            ck_assert_msg((parse("GET / HTTP/1.1", field) == HEAD_DONE) == token, "%c", c);
        }
        ck_assert(parse("GET / HTTP/1.1", "a:\tb \t") == HEAD_DONE);
        ck_assert(parse("GET / HTTP/1.1", "a: \t ") == HEAD_DONE);
    }
END_TEST

START_TEST(a_target_has_only_escapes_of_two_digits)
    {
        static const char *const bad[] = {"/%",    "/%4",       "/%4g", "/%g4", "/%4`",
                                          "/%`4",  "/%00",      "/%1f", "/%7F", "/a#b",
                                          "/\x7f", "/\xc3\xa9", "/a\tb"};
        char line[64];
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            (void)snprintf(line, sizeof line, "GET %s HTTP/1.1", bad[i]);
            ck_assert_msg(parse(line, "a: b") == HEAD_REFUSED, "%s", bad[i]);
        }
        ck_assert(parse("GET /%4a%4F%fF?%1f HTTP/1.1", "a: b") == HEAD_DONE);
    }
END_TEST

static bool may_write(const char *origin, const char *host)
{
    const struct access_ask ask = {.peer = {.local = true, .trusted = true},
                                   .needed = ADMIN_WRITE,
                                   .host = host,
                                   .custom = "1",
                                   .writes = true,
                                   .origin = origin};
    return access_judge(&ask).status == 0;
}

START_TEST(a_page_is_of_the_host_that_it_asks)
    {
        ck_assert(may_write("http://a:1", "a:1"));
        ck_assert(may_write("HTTPS://A:1", "a:1"));
        ck_assert(!may_write("http://a:1", "b:1"));
        ck_assert(!may_write("http://a:1", NULL));
        ck_assert(!may_write("file://a:1", "a:1"));
        ck_assert(!may_write("null", "a:1"));
    }
END_TEST

START_TEST(of_slow_readers_the_slowest_goes)
    {
        static struct connections all;
        const int64_t wrote[] = {3, 1, 2};
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(connections_open(&all, 100 + i, 0), i);
            connections_enter(&all, i, CONNECTION_WRITING, wrote[i]);
        }
        ck_assert_int_eq(connections_victim(&all, INT64_C(1000000000000)), 1);
        connections_enter(&all, 0, CONNECTION_BODY, 5);
        connections_enter(&all, 1, CONNECTION_BUSY, 5);
        ck_assert_uint_eq(connections_at_work(&all), 3);
        connections_enter(&all, 1, CONNECTION_IDLE, 6);
        ck_assert_uint_eq(connections_at_work(&all), 2);
    }
END_TEST

/* --- texts ----------------------------------------------------------------------------------- */

static bool is_state(const char *text, size_t size)
{
    struct w3c_state state = {0};
    w3c_state_add(&state, text, size);
    return !state.invalid;
}

START_TEST(a_member_of_tracestate_has_a_key_and_a_value_of_their_bytes)
    {
        static const char bad[] = "\0`:A~{\x7f";
        char long_key[300], long_value[300];
        for (size_t i = 0; i < sizeof bad - 1; i++) {
            const char member[] = {'a', bad[i], '=', 'v'};
            ck_assert(!is_state(member, sizeof member));
        }
        ck_assert(is_state("a0z_-*/@=~ !", 12));
        ck_assert(!is_state("_a=v", 4));
        ck_assert(!is_state("a=", 2));
        ck_assert(!is_state("a=\x7f", 3));
        ck_assert(!is_state("a=\x1f", 3));
        ck_assert(!is_state("a=b=c", 5));
        ck_assert(!is_state("=v", 2));
        memset(long_key, 'a', sizeof long_key);
        memset(long_value, 'v', sizeof long_value);
        memcpy(long_key + 257, "=v", 2);
        memcpy(long_value, "a=", 2);
        ck_assert(!is_state(long_key, 259));
        ck_assert(is_state(long_key + 1, 258));
        ck_assert(!is_state(long_value, 259));
        ck_assert(is_state(long_value, 258));
        char member[W3C_MEMBER_MAX];
        ck_assert_int_eq(w3c_state_set(&(struct w3c_state){0}, "a", "b,c", member), -EINVAL);
        ck_assert_int_eq(w3c_state_set(&(struct w3c_state){0}, "a", "b ", member), -EINVAL);
    }
END_TEST

START_TEST(digits_that_no_longer_fit_have_no_effect)
    {
        int64_t ns = 0;
        ck_assert_int_eq(duration_parse("0.9223372036854775809s", &ns), 0);
        ck_assert_int_eq(ns, 922337203);
        ck_assert_int_eq(duration_parse("0.92233720368547758070000001s", &ns), 0);
        ck_assert_int_eq(ns, 922337203);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "core_edges", a_state_that_is_none_leads_nowhere,
        a_sequence_does_nothing_before_its_start_and_after_its_end,
        a_sequence_hears_nothing_that_nobody_can_say,
        a_run_is_over_when_it_has_returned_and_does_not_go_on_elsewhere,
        a_run_that_ends_as_it_was_told_to_is_no_failure, a_limit_that_has_passed_is_not_extended,
        a_service_that_was_given_up_fails_no_more, a_service_is_not_ready_before_its_run_is_called,
        as_many_restarts_are_counted_as_a_limit_can_be,
        time_that_a_service_no_longer_needs_is_there_for_the_others,
        what_a_restart_has_mended_is_not_in_the_exit_code,
        a_machine_takes_no_answer_that_it_did_not_ask_for, a_limit_beyond_the_end_of_time_is_never,
        a_machine_knows_whom_it_has, a_board_takes_no_answer_that_it_did_not_ask_for,
        a_profile_that_has_failed_is_not_kept, a_check_that_hangs_has_begun,
        the_name_of_a_field_is_a_token, a_target_has_only_escapes_of_two_digits,
        a_page_is_of_the_host_that_it_asks, of_slow_readers_the_slowest_goes,
        a_member_of_tracestate_has_a_key_and_a_value_of_their_bytes,
        digits_that_no_longer_fit_have_no_effect);
}
