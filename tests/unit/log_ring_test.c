/* SPDX-License-Identifier: MIT
 *
 * The ring of queued log records: what it refuses, and that no record touches another.
 */
#include "telemetry/log_ring.h"

#include "harness.h"

#include <string.h>

#define CAPACITY 4096

static _Alignas(LOG_RING_ALIGN) char memory[CAPACITY];
static struct log_ring ring;

static void open_ring(size_t most)
{
    log_ring_init(&ring, memory, CAPACITY, most);
}

static size_t take(void **records, size_t most)
{
    size_t count = log_ring_take(&ring, ring.tail, records, most);
    log_ring_leave_locked(&ring, count);
    return count;
}

START_TEST(gives_records_back_in_order)
    {
        void *put[5], *got[8];
        open_ring(100);
        for (size_t i = 0; i < 5; i++) {
            put[i] = log_ring_reserve_locked(&ring, 10 * i + 1);
            ck_assert_ptr_nonnull(put[i]);
            ck_assert_uint_eq((uintptr_t)put[i] % LOG_RING_ALIGN, 0);
            log_ring_fill(put[i]);
        }
        ck_assert_uint_eq(take(got, 3), 3);
        ck_assert_uint_eq(ring.waiting, 2);
        ck_assert_uint_eq(take(got + 3, 5), 2);
        ck_assert_mem_eq(got, put, sizeof put);
        ck_assert_uint_eq(take(got, 8), 0);
    }
END_TEST

START_TEST(stops_before_a_record_that_is_not_filled)
    {
        void *got[4];
        open_ring(100);
        void *first = log_ring_reserve_locked(&ring, 8),
             *second = log_ring_reserve_locked(&ring, 8);
        log_ring_fill(second);
        ck_assert_uint_eq(take(got, 4), 0);
        log_ring_fill(first);
        ck_assert_uint_eq(take(got, 4), 2);
        ck_assert_ptr_eq(got[0], first);
    }
END_TEST

START_TEST(refuses_more_records_than_may_wait)
    {
        void *got[4];
        open_ring(3);
        for (int i = 0; i < 3; i++)
            log_ring_fill(log_ring_reserve_locked(&ring, 8));
        ck_assert_ptr_null(log_ring_reserve_locked(&ring, 8));
        ck_assert_uint_eq(take(got, 1), 1); /* it has left, though its memory is in use */
        ck_assert_ptr_nonnull(log_ring_reserve_locked(&ring, 8));
        ck_assert_ptr_null(log_ring_reserve_locked(&ring, 8));
    }
END_TEST

START_TEST(refuses_more_bytes_than_there_are)
    {
        void *got[4];
        open_ring(100);
        ck_assert_ptr_null(log_ring_reserve_locked(&ring, CAPACITY));
        ck_assert_ptr_null(log_ring_reserve_locked(&ring, SIZE_MAX - 4));
        void *all = log_ring_reserve_locked(&ring, CAPACITY - LOG_RING_OVERHEAD);
        ck_assert_ptr_nonnull(all);
        log_ring_fill(all);
        ck_assert_ptr_null(log_ring_reserve_locked(&ring, 1));
        ck_assert_uint_eq(take(got, 4), 1);
        ck_assert_ptr_null(log_ring_reserve_locked(&ring, 1)); /* it lies there still */
        log_ring_release_locked(&ring);
        ck_assert_ptr_nonnull(log_ring_reserve_locked(&ring, 1));
    }
END_TEST

START_TEST(begins_anew_at_its_front_when_it_is_empty)
    {
        void *got[4];
        open_ring(100);
        void *front = log_ring_reserve_locked(&ring, 100);
        for (int i = 0; i < 1000; i++) {
            log_ring_fill(front);
            ck_assert_uint_eq(take(got, 4), 1);
            log_ring_release_locked(&ring);
            ck_assert_ptr_eq(log_ring_reserve_locked(&ring, 100), front);
        }
    }
END_TEST

/* --- at random, against what the promises say --------------------------------------------------
 */

#define RECORDS_MAX 64
#define RECORD_MOST 1500

struct shadow {
    struct {
        unsigned char *record;
        size_t size;
        unsigned char mark;
    } list[RECORDS_MAX]; /* in use, oldest first */
    size_t taken, count;
    unsigned char mark;
    uint64_t seed;
};

static uint64_t chance(struct shadow *shadow, uint64_t below)
{
    shadow->seed = shadow->seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (shadow->seed >> 33) % below;
}

static void check_marks(const struct shadow *shadow)
{
    for (size_t i = 0; i < shadow->count; i++)
        for (size_t at = 0; at < shadow->list[i].size; at++)
            if (shadow->list[i].record[at] != shadow->list[i].mark)
                ck_abort_msg("record %zu was overwritten at %zu", i, at);
}

static void reserve_one(struct shadow *shadow, size_t most)
{
    size_t size = chance(shadow, 4) == 0 ? chance(shadow, RECORD_MOST) : chance(shadow, 60);
    size_t used = 0;
    for (size_t i = 0; i < shadow->count; i++)
        used += shadow->list[i].size + LOG_RING_OVERHEAD + LOG_RING_ALIGN;
    unsigned char *record = log_ring_reserve_locked(&ring, size);
    if (record == NULL) { /* one of the two limits; a gap before the wrap may cost as much again,
                            and there may be one already */
        ck_assert(shadow->count - shadow->taken == most ||
                  used + RECORD_MOST + 2 * (size + 32) > CAPACITY);
        return;
    }
    ck_assert(shadow->count - shadow->taken < most);
    ck_assert((char *)record >= memory && (char *)record + size <= memory + CAPACITY);
    memset(record, ++shadow->mark, size);
    log_ring_fill(record);
    shadow->list[shadow->count].record = record;
    shadow->list[shadow->count].size = size;
    shadow->list[shadow->count++].mark = shadow->mark;
}

static void take_some(struct shadow *shadow)
{
    void *got[RECORDS_MAX];
    size_t most = chance(shadow, 8) + 1;
    size_t there = shadow->count - shadow->taken, wanted = there < most ? there : most;
    ck_assert_uint_eq(take(got, most), wanted);
    for (size_t i = 0; i < wanted; i++)
        ck_assert_ptr_eq(got[i], shadow->list[shadow->taken + i].record);
    shadow->taken += wanted;
}

static void release_all(struct shadow *shadow)
{
    log_ring_release_locked(&ring);
    memmove(shadow->list, shadow->list + shadow->taken,
            (shadow->count - shadow->taken) * sizeof shadow->list[0]);
    shadow->count -= shadow->taken;
    shadow->taken = 0;
}

START_TEST(keeps_its_promises_whatever_is_done)
    {
        for (uint64_t seed = 1; seed <= 20; seed++) {
            static struct shadow shadow;
            size_t most = seed % 2 == 0 ? 5 : 30;
            shadow = (struct shadow){.seed = seed};
            open_ring(most);
            for (int step = 0; step < 5000; step++) {
                uint64_t what = chance(&shadow, 5);
                if (what < 3 && shadow.count < RECORDS_MAX)
                    reserve_one(&shadow, most);
                else if (what == 3)
                    take_some(&shadow);
                else
                    release_all(&shadow);
                check_marks(&shadow);
                ck_assert_uint_eq(ring.waiting, shadow.count - shadow.taken);
            }
        }
    }
END_TEST

int main(void)
{
    return HARNESS("log_ring", gives_records_back_in_order,
                   stops_before_a_record_that_is_not_filled, refuses_more_records_than_may_wait,
                   refuses_more_bytes_than_there_are, begins_anew_at_its_front_when_it_is_empty,
                   keeps_its_promises_whatever_is_done);
}
