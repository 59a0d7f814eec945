/* SPDX-License-Identifier: MIT
 *
 * The queue of samples, and the table of stacks that it ends in.
 */
#include "harness.h"
#include "profile/ring.h"
#include "profile/stacks.h"

#include <pthread.h>
#include <sched.h>
#include <string.h>

static bool push(struct ring *ring, int tid, uint64_t hits)
{
    uint64_t ticket;
    struct sample *sample = ring_claim(ring, &ticket);
    if (sample == NULL)
        return false;
    *sample = (struct sample){.tid = tid, .hits = hits};
    ring_commit(ring, ticket);
    return true;
}

START_TEST(gives_samples_in_order)
    {
        struct ring *ring = ring_new();
        ck_assert_ptr_nonnull(ring);
        for (int i = 0; i < 3 * RING_SLOTS; i++) {
            ck_assert_ptr_null(ring_peek(ring));
            ck_assert(push(ring, i, 1));
            const struct sample *sample = ring_peek(ring);
            ck_assert_ptr_nonnull(sample);
            ck_assert_int_eq(sample->tid, i);
            ring_release(ring);
        }
        ring_free(ring);
    }
END_TEST

START_TEST(refuses_what_does_not_fit_and_goes_on)
    {
        struct ring *ring = ring_new();
        for (int i = 0; i < RING_SLOTS; i++)
            ck_assert(push(ring, i, 1));
        ck_assert(!push(ring, -1, 1));
        ck_assert_int_eq(ring_peek(ring)->tid, 0);
        ring_release(ring);
        ck_assert(push(ring, RING_SLOTS, 1));
        ck_assert(!push(ring, -1, 1));
        ring_free(ring);
    }
END_TEST

START_TEST(waits_for_one_that_is_being_filled)
    {
        struct ring *ring = ring_new();
        uint64_t ticket;
        struct sample *late = ring_claim(ring, &ticket);
        ck_assert(push(ring, 2, 1));
        ck_assert_ptr_null(ring_peek(ring));
        late->tid = 1;
        ring_commit(ring, ticket);
        ck_assert_int_eq(ring_peek(ring)->tid, 1);
        ring_release(ring);
        ck_assert_int_eq(ring_peek(ring)->tid, 2);
        ring_free(ring);
    }
END_TEST

enum { PUSHERS = 4, PUSHES = 20000 };

static void *push_many(void *arg)
{
    struct ring *ring = arg;
    for (uint64_t i = 0; i < PUSHES; i++)
        while (!push(ring, 1, i + 1))
            (void)sched_yield();
    return NULL;
}

START_TEST(loses_nothing_between_many_threads)
    {
        struct ring *ring = ring_new();
        pthread_t threads[PUSHERS];
        for (int i = 0; i < PUSHERS; i++)
            ck_assert_int_eq(pthread_create(&threads[i], NULL, push_many, ring), 0);
        uint64_t count = 0, sum = 0;
        while (count < PUSHERS * PUSHES) {
            const struct sample *sample = ring_peek(ring);
            if (sample == NULL) {
                (void)sched_yield();
                continue;
            }
            sum += sample->hits;
            count++;
            ring_release(ring);
        }
        for (int i = 0; i < PUSHERS; i++)
            ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_uint_eq(sum, (uint64_t)PUSHERS * PUSHES * (PUSHES + 1) / 2);
        ring_free(ring);
    }
END_TEST

START_TEST(keeps_each_stack_once)
    {
        struct stacks stacks = {0};
        uintptr_t frames[3] = {1, 2, 3};
        for (int round = 0; round < 3; round++)
            for (uintptr_t i = 0; i < 5000; i++) {
                frames[0] = i;
                const struct stack_key key = {i % 2 == 0 ? "even" : "odd", frames, 1 + i % 3};
                stacks_add(&stacks, &key, (const uint64_t[STACKS_VALUES]){1, 10});
            }
        ck_assert_uint_eq(stacks.count, 5000);
        ck_assert_uint_eq(stacks.names_count, 2);
        ck_assert_uint_eq(stacks.lost, 0);
        for (size_t i = 0; i < stacks.count; i++) {
            const struct stack *stack = &stacks.all[i];
            ck_assert_uint_eq(stack->values[0], 3);
            ck_assert_uint_eq(stack->values[1], 30);
            ck_assert_uint_eq(stack->depth, 1 + i % 3);
            ck_assert_uint_eq(stacks_frames(&stacks, stack)[0], i);
            ck_assert_str_eq(stacks.names[stack->name], i % 2 == 0 ? "even" : "odd");
        }
        stacks_free(&stacks);
    }
END_TEST

START_TEST(tells_threads_and_empty_stacks_apart)
    {
        struct stacks stacks = {0};
        const uintptr_t frame = 7;
        const uint64_t one[STACKS_VALUES] = {1};
        stacks_add(&stacks, &(struct stack_key){"a", &frame, 1}, one);
        stacks_add(&stacks, &(struct stack_key){"b", &frame, 1}, one);
        stacks_add(&stacks, &(struct stack_key){"b", NULL, 0}, one);
        stacks_add(&stacks, &(struct stack_key){"a name that is too long for it", NULL, 0}, one);
        ck_assert_uint_eq(stacks.count, 4);
        ck_assert_str_eq(stacks.names[2], "a name that is ");
        stacks_free(&stacks);
    }
END_TEST

int main(void)
{
    return HARNESS("profile_ring", gives_samples_in_order, refuses_what_does_not_fit_and_goes_on,
                   waits_for_one_that_is_being_filled, loses_nothing_between_many_threads,
                   keeps_each_stack_once, tells_threads_and_empty_stacks_apart);
}
