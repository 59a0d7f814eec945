/* SPDX-License-Identifier: MIT
 *
 * The channel between two generations, when the system refuses: each call says so, nothing that
 * came is left open, and it can be tried again.
 */
#include "../support/handover_samples.h"
#include "base/fd.h"
#include "scenario.h"
#include "upgrade/channel.h"

#include <errno.h>
#include <unistd.h>

static struct handover_message sent, got;

/* Done, or refused for the reason that the system gave: again. To be interrupted is none. */
static bool again(int rc)
{
    SCENARIO_ASSERT(rc == 0 || (scenario_is_told(-rc) && rc != -EINTR), "%d", rc);
    return rc < 0;
}

static void close_pair(const int ends[2])
{
    (void)close(ends[0]);
    (void)close(ends[1]);
}

static void make_pair(void *arg)
{
    int ends[2];
    (void)arg;
    scenario_arm();
    while (again(channel_pair(ends)))
        ;
    (void)scenario_disarm();
    close_pair(ends);
}

static void talk(void *arg)
{
    int rc, ends[2], fds[HANDOVER_BATCH_MAX];
    unsigned count = 0;
    (void)arg;
    ck_assert_int_eq(channel_pair(ends), 0);
    const int given[SAMPLE_ENTRIES] = {ends[0], ends[1], ends[0]};
    sample(&sent, HANDOVER_BATCH);
    scenario_arm();
    bool known = channel_is_from(ends[1], getpid());
    SCENARIO_ASSERT(known || scenario_errno() == ENOBUFS, "its own pair is not known");
    while (again(rc = channel_send(ends[0], &sent, given, SAMPLE_ENTRIES)))
        SCENARIO_ASSERT(rc != -ENOMEM, "a lack of memory that passes");
    while (again(channel_wait(ends[1], INT64_MAX)))
        ;
    while (again(channel_receive(ends[1], &got, fds, &count)))
        SCENARIO_ASSERT(count == 0, "%u", count);
    (void)scenario_disarm();
    SCENARIO_ASSERT(count == SAMPLE_ENTRIES, "%u", count);
    for (unsigned i = 0; i < count; i++)
        (void)close(fds[i]);
    close_pair(ends);
}

/* Without an answer nothing is sent that may be left unsaid; to be told of room is asked for again.
 */
static void look_for_room(void *arg)
{
    int ends[2], poller = fd_poller_new();
    (void)arg;
    ck_assert_int_eq(channel_pair(ends), 0);
    ck_assert_int_eq(fd_poller_add(poller, ends[0], 7, false), 0);
    scenario_arm();
    bool room = channel_has_room(ends[0]);
    fd_poller_want_room(poller, ends[0], 7, true);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(room || failed > 0, "there is room");
    (void)close(poller);
    close_pair(ends);
}

START_TEST(makes_a_pair_or_says_why_not)
    {
        scenario_each("channel pair", FAULT_SYSTEM, make_pair, NULL);
    }
END_TEST

START_TEST(says_why_a_message_was_not_sent_or_received)
    {
        scenario_each("channel", FAULT_SYSTEM, talk, NULL);
    }
END_TEST

START_TEST(looks_for_room_or_takes_it_that_there_is_none)
    {
        scenario_each("channel room", FAULT_SYSTEM, look_for_room, NULL);
    }
END_TEST

START_TEST(goes_on_when_interrupted)
    {
        scenario_each("channel interrupted", FAULT_INTERRUPT, talk, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.channel", makes_a_pair_or_says_why_not,
                   says_why_a_message_was_not_sent_or_received,
                   looks_for_room_or_takes_it_that_there_is_none, goes_on_when_interrupted);
}
