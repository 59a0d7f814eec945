/* SPDX-License-Identifier: MIT */
#include "harness.h"
#include "upgrade/machine.h"

static const struct machine_limits limits = {.handshake_ns = 5,
                                             .start_ns = 50,
                                             .start_max_ns = 500,
                                             .barrier_ns = 1,
                                             .probation_ns = 10,
                                             .probe_ns = 1,
                                             .takes_over = true};

static void feed(struct machine *machine, enum machine_event_kind kind)
{
    machine_feed(machine, &(struct machine_event){.kind = kind}, 0);
}

/* Where among the actions this one is, from 1; 0: it is not there. Takes them all. */
static unsigned find(struct machine *machine, enum machine_action_kind kind)
{
    struct machine_action action;
    unsigned found = 0;
    for (unsigned i = 1; machine_next(machine, 0, &action); i++)
        if (action.kind == kind)
            found = i;
    return found;
}

START_TEST(an_orphan_keeps_what_its_services_have_yet_to_take)
    {
        struct machine machine;
        machine_init(&machine, &limits, true);
        feed(&machine, MACHINE_GONE);
        ck_assert_uint_eq(find(&machine, MACHINE_CLEAR), 0);
        feed(&machine, MACHINE_STARTED);
        ck_assert_uint_ne(find(&machine, MACHINE_CLEAR), 0);
    }
END_TEST

START_TEST(an_orphan_that_runs_drops_what_nobody_took)
    {
        struct machine machine;
        machine_init(&machine, &limits, true);
        feed(&machine, MACHINE_STARTED);
        feed(&machine, MACHINE_GONE);
        ck_assert_uint_ne(find(&machine, MACHINE_CLEAR), 0);
    }
END_TEST

START_TEST(a_first_generation_drops_nothing)
    {
        struct machine machine;
        machine_init(&machine, &limits, false);
        feed(&machine, MACHINE_STARTED);
        ck_assert_uint_eq(find(&machine, MACHINE_CLEAR), 0);
    }
END_TEST

int main(void)
{
    return HARNESS("machine_orphan", an_orphan_keeps_what_its_services_have_yet_to_take,
                   an_orphan_that_runs_drops_what_nobody_took, a_first_generation_drops_nothing);
}
