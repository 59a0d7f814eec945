/* SPDX-License-Identifier: MIT
 *
 * Stacks that were seen: each once, whatever their hashes, and not without end.
 */
#include "harness.h"
#include "profile/stacks.h"

static const uint64_t once[STACKS_VALUES] = {1, 10, 100, 1000};

static void see(struct stacks *stacks, const char *name, const uintptr_t *frames, size_t depth)
{
    stacks_add(stacks, &(struct stack_key){name, frames, depth}, once);
}

START_TEST(keeps_each_stack_once)
    {
        struct stacks stacks = {0};
        const uintptr_t frames[] = {1, 2, 3};
        for (int i = 0; i < 2; i++) {
            see(&stacks, "a", frames, 3);
            see(&stacks, "a", frames, 2);
            see(&stacks, "b", frames, 3);
            see(&stacks, "a", NULL, 0);
        }
        ck_assert_uint_eq(stacks.count, 4);
        ck_assert_uint_eq(stacks.names_count, 2);
        for (size_t i = 0; i < stacks.count; i++)
            ck_assert_uint_eq(stacks.all[i].values[1], 20);
        stacks_free(&stacks);
    }
END_TEST

/* A collision is forged: the stack that is there is given the hash, and then one thing after
 * another of the one that comes. */
START_TEST(tells_stacks_apart_that_have_the_same_hash)
    {
        const uintptr_t here[] = {1, 2}, there[] = {2, 1};
        for (int differs = 0; differs < 3; differs++) {
            struct stacks stacks = {0};
            see(&stacks, "a", here, 2);
            see(&stacks, "a", there, 2);
            ck_assert_uint_eq(stacks.count, 2);
            size_t mask = stacks.slots - 1;
            stacks.index[stacks.all[0].hash & mask] = 0; /* and only the second is left, */
            stacks.all[1].hash = stacks.all[0].hash;     /* where the first would be */
            stacks.index[stacks.all[0].hash & mask] = 2;
            stacks.all[1].name += differs == 1;
            stacks.all[1].depth -= differs == 2;
            see(&stacks, "a", here, 2);
            ck_assert_uint_eq(stacks.count, 3);
            stacks_free(&stacks);
        }
    }
END_TEST

START_TEST(counts_as_lost_what_there_is_no_room_for)
    {
        struct stacks stacks = {0};
        const uintptr_t frame = 1;
        see(&stacks, "a", &frame, 1);
        size_t count = stacks.count, frames = stacks.frames_count;
        stacks.frames_count = STACKS_FRAMES_MAX;
        see(&stacks, "a", &(uintptr_t){2}, 1);
        stacks.frames_count = frames;
        ck_assert_uint_eq(stacks.lost, 1);
        ck_assert_uint_eq(stacks.count, count);
        stacks_free(&stacks);
    }
END_TEST

int main(void)
{
    return HARNESS("stacks", keeps_each_stack_once, tells_stacks_apart_that_have_the_same_hash,
                   counts_as_lost_what_there_is_no_room_for);
}
