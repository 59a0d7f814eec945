/* SPDX-License-Identifier: MIT
 *
 * Counting: sets of attributes, limits, several threads, several readers, buckets.
 */
#include "metering.h"
#include "telemetry/series.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#define OPTIONS SRUN_INSTRUMENT

/* --- sets of attributes ---------------------------------------------------------------------- */

START_TEST(a_set_is_the_same_in_any_order_and_spelling)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_series *series =
            srun_bind(counter, SRUN_KVS(SRUN_STR("b", "x"), SRUN_INT("a", 1), SRUN_BOOL("c", 1)));
        ck_assert_ptr_eq(series, srun_bind(counter, SRUN_KVS(SRUN_BOOL("c", 7), SRUN_UINT("a", 1),
                                                             SRUN_TEXT("b", "xyz", 1))));
        ck_assert_ptr_eq(series, srun_bind(counter, SRUN_KVS(SRUN_STR("b", "y"), SRUN_STR("a", "z"),
                                                             SRUN_STR("b", "x"), SRUN_INT("a", 1),
                                                             SRUN_BOOL("c", 1))));
        const char *unknown_size = "b";
        ck_assert_ptr_eq(series, srun_bind(counter, SRUN_KVS(SRUN_STR(unknown_size, "x"),
                                                             SRUN_INT("a", 1), SRUN_BOOL("c", 1))));
        ck_assert_ptr_eq(series, srun_bind(counter, SRUN_KVS(SRUN_STR("b", "x"), SRUN_INT("a", 1),
                                                             SRUN_BOOL("c", 1), SRUN_INT("", 3))));
        ck_assert_ptr_eq(srun_bind(counter, NULL), srun_bind(counter, SRUN_KVS(SRUN_INT("", 1))));
        metering_close(&m);
    }
END_TEST

START_TEST(sets_that_differ_in_a_byte_or_a_type_differ)
    {
        const struct srun_kv *const sets[] = {
            SRUN_KVS(SRUN_STR("a", "1")),
            SRUN_KVS(SRUN_INT("a", 1)),
            SRUN_KVS(SRUN_DOUBLE("a", 1)),
            SRUN_KVS(SRUN_BOOL("a", 1)),
            SRUN_KVS(SRUN_STR("a", "")),
            SRUN_KVS(SRUN_STR("A", "1")),
            SRUN_KVS(SRUN_STR("a1", "")),
            SRUN_KVS(SRUN_TEXT("a", "1\0", 2)),
            SRUN_KVS(SRUN_TEXT("a", "1\0x", 3)),
            SRUN_KVS(SRUN_STR("a", "12345678")),
            SRUN_KVS(SRUN_STR("a", "12345679")),
            SRUN_KVS(SRUN_STR("a", "1234567812345678")),
            SRUN_KVS(SRUN_STR("a", "1234567912345678")),
            SRUN_KVS(SRUN_STR("a", "12345678123456781")),
            SRUN_KVS(SRUN_STR("a", "12345678123456782")),
            SRUN_KVS(SRUN_STR("a", "x"), SRUN_STR("b", "y")),
            SRUN_KVS(SRUN_STR("a", "y"), SRUN_STR("b", "x")),
            SRUN_KVS(SRUN_STR("abcdefgh1", "x")),
            SRUN_KVS(SRUN_STR("abcdefgh2", "x")),
            SRUN_KVS(SRUN_STR("abcdefgh", "x")),
            SRUN_KVS(SRUN_UINT("a", UINT64_MAX)),
            SRUN_KVS(SRUN_INT("a", -1)),
            NULL,
        };
        enum { COUNT = sizeof sets / sizeof sets[0] };
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (size_t i = 0; i < COUNT; i++)
            srun_add(counter, (int64_t)i + 1, sets[i]);
        for (size_t i = 0; i < COUNT; i++)
            for (size_t k = 0; k < i; k++)
                ck_assert_ptr_ne(srun_bind(counter, sets[i]), srun_bind(counter, sets[k]));
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "n")->point_count, COUNT);
        for (size_t i = 0; i < COUNT; i++)
            ck_assert_int_eq(metering_metric(&m, "n")->points[i].integer, (int64_t)i + 1);
        metering_close(&m);
    }
END_TEST

/* Sizes around the words that are compared at once: a change of any byte counts. */
START_TEST(every_byte_of_a_key_and_a_value_counts)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", OPTIONS(.limit = 10000));
        size_t sets = 0;
        for (size_t size = 1; size <= 40; size++)
            for (size_t at = 0; at < size; at++) {
                char text[41];
                memset(text, 'a', size);
                text[size] = '\0';
                text[at] = 'b';
                srun_add(counter, 1, SRUN_KVS(SRUN_STR(text, "v")));
                srun_add(counter, 1, SRUN_KVS(SRUN_STR("k", text)));
                sets += 2;
            }
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "n")->point_count, sets);
        metering_close(&m);
    }
END_TEST

START_TEST(attributes_come_out_by_key_with_their_types)
    {
        struct metering m;
        metering_open(&m);
        srun_add(srun_counter(m.meter, "n", NULL), 1,
                 SRUN_KVS(SRUN_STR("s", "text"), SRUN_INT("i", -5), SRUN_DOUBLE("d", 0.5),
                          SRUN_BOOL("b", 1), SRUN_UINT("u", UINT64_MAX), SRUN_STR("n", NULL),
                          SRUN_TEXT("z", "a\0b", 3), SRUN_MS("t", 2), SRUN_CODE("e", -2)));
        (void)metering_collect(&m, m.reader);
        const struct srun_kv *kv = metering_metric(&m, "n")->points[0].attributes;
        const char *const keys[] = {"b", "d", "e", "i", "n", "s", "t", "u", "z"};
        for (size_t i = 0; i < 9; i++)
            ck_assert_str_eq(kv[i].key, keys[i]);
        ck_assert_int_eq(kv[0].type, SRUN_KV_BOOL);
        ck_assert_double_eq(kv[1].value.d, 0.5);
        ck_assert_str_eq(kv[2].value.str, srun_strerror(-2));
        ck_assert_int_eq(kv[3].value.i, -5);
        ck_assert_str_eq(kv[4].value.str, "");
        ck_assert_str_eq(kv[5].value.str, "text");
        ck_assert_int_eq(kv[6].value.i, 2000000);
        ck_assert_int_eq(kv[7].type, SRUN_KV_UINT);
        ck_assert_int_eq(kv[8].type, SRUN_KV_BYTES);
        ck_assert_uint_eq(kv[8].size, 3);
        ck_assert_int_eq(kv[9].type, SRUN_KV_END);
        metering_close(&m);
    }
END_TEST

START_TEST(a_set_that_is_too_large_is_counted_as_overflow)
    {
        struct srun_kv many[66];
        char keys[65][8];
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (int i = 0; i < 65; i++) {
            (void)snprintf(keys[i], sizeof keys[i], "k%d", i);
            many[i] = SRUN_INT(keys[i], i);
        }
        many[64] = (struct srun_kv){.type = SRUN_KV_END};
        srun_add(counter, 1, many);
        many[64] = SRUN_INT(keys[64], 1);
        many[65] = (struct srun_kv){.type = SRUN_KV_END};
        srun_add(counter, 2, many);
        char *huge = malloc(2 << 20);
        memset(huge, 'x', (2 << 20) - 1);
        huge[(2 << 20) - 1] = '\0';
        srun_add(counter, 3, SRUN_KVS(SRUN_STR("a", huge)));
        huge[65536] = '\0';
        srun_add(counter, 4, SRUN_KVS(SRUN_STR("a", huge)));
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "n")->point_count, 3);
        ck_assert_int_eq(metering_int(&m, "n", "otel_metric_overflow=\"true\""), 5);
        free(huge);
        metering_close(&m);
    }
END_TEST

START_TEST(beyond_the_limit_nothing_is_lost)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        for (int i = 0; i < 2000; i++)
            srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", i)));
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "n")->point_count, 2000);
        ck_assert_uint_eq(metering_stats(&m).overflow, 0);
        for (int i = 2000; i < 2500; i++)
            srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", i)));
        srun_series_add(srun_bind(counter, SRUN_KVS(SRUN_INT("i", 9999))), 10);
        srun_add(counter, 1, SRUN_KVS(SRUN_INT("i", 7))); /* those that are there stay */
        (void)metering_collect(&m, m.reader);
        ck_assert_uint_eq(metering_metric(&m, "n")->point_count, 2001);
        ck_assert_int_eq(metering_int(&m, "n", "i=\"7\""), 2);
        ck_assert_int_eq(metering_int(&m, "n", "otel_metric_overflow=\"true\""), 510);
        const struct telemetry_point *point =
            metering_point(&m, "n", "otel_metric_overflow=\"true\"");
        ck_assert_str_eq(point->attributes[0].key, "otel.metric.overflow");
        ck_assert_int_eq(point->attributes[0].type, SRUN_KV_BOOL);
        ck_assert_uint_eq(metering_stats(&m).overflow, 1);
        ck_assert_uint_eq(metering_warnings(&m), 1);
        metering_close(&m);
    }
END_TEST

/* --- threads --------------------------------------------------------------------------------- */

enum { THREADS = 8, SETS = 500, ROUNDS = 40 };

struct crowd {
    srun_instrument *instrument, *histogram;
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    atomic_uint left;
    size_t rounds;
};

static void *add_all(void *arg)
{
    struct crowd *crowd = arg;
    (void)pthread_barrier_wait(&crowd->start);
    for (size_t round = 0; round < crowd->rounds; round++)
        for (int i = 0; i < SETS; i++)
            srun_add(crowd->instrument, 1, SRUN_KVS(SRUN_INT("i", i), SRUN_STR("route", "/x")));
    (void)atomic_fetch_sub(&crowd->left, 1);
    return NULL;
}

static void *record_all(void *arg)
{
    struct crowd *crowd = arg;
    (void)pthread_barrier_wait(&crowd->start);
    for (size_t i = 0; i < crowd->rounds; i++)
        srun_record(crowd->histogram, (double)(i % 20000), NULL);
    (void)atomic_fetch_sub(&crowd->left, 1);
    return NULL;
}

static void crowd_start(struct crowd *crowd, void *(*work)(void *arg), size_t rounds)
{
    crowd->rounds = rounds;
    atomic_init(&crowd->left, THREADS);
    (void)pthread_barrier_init(&crowd->start, NULL, THREADS + 1);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&crowd->threads[i], NULL, work, crowd), 0);
    (void)pthread_barrier_wait(&crowd->start);
}

static void crowd_join(struct crowd *crowd)
{
    for (int i = 0; i < THREADS; i++)
        (void)pthread_join(crowd->threads[i], NULL);
    (void)pthread_barrier_destroy(&crowd->start);
}

START_TEST(threads_that_make_the_same_sets_share_them)
    {
        struct crowd crowd;
        struct metering m;
        metering_open(&m);
        crowd.instrument = srun_counter(m.meter, "n", NULL);
        crowd_start(&crowd, add_all, ROUNDS);
        crowd_join(&crowd);
        (void)metering_collect(&m, m.reader);
        const struct telemetry_metric *metric = metering_metric(&m, "n");
        ck_assert_uint_eq(metric->point_count, SETS);
        for (size_t i = 0; i < SETS; i++)
            ck_assert_int_eq(metric->points[i].integer, THREADS * ROUNDS);
        metering_close(&m);
    }
END_TEST

START_TEST(at_the_limit_threads_lose_nothing)
    {
        struct crowd crowd;
        struct metering m;
        metering_open(&m);
        crowd.instrument = srun_counter(m.meter, "n", OPTIONS(.limit = SETS / 2));
        crowd_start(&crowd, add_all, ROUNDS);
        crowd_join(&crowd);
        (void)metering_collect(&m, m.reader);
        const struct telemetry_metric *metric = metering_metric(&m, "n");
        int64_t sum = 0;
        for (size_t i = 0; i < metric->point_count; i++)
            sum += metric->points[i].integer;
        ck_assert_uint_eq(metric->point_count, SETS / 2 + 1);
        ck_assert_int_eq(sum, (int64_t)THREADS * ROUNDS * SETS);
        metering_close(&m);
    }
END_TEST

static int64_t sum_points(const struct telemetry_metric *metric)
{
    int64_t sum = 0;
    for (size_t i = 0; metric != NULL && i < metric->point_count; i++) {
        ck_assert_uint_lt(metric->points[i].start_ns, metric->points[i].time_ns);
        sum += metric->points[i].integer;
    }
    return sum;
}

START_TEST(differences_add_up_to_the_total_while_it_grows)
    {
        struct crowd crowd;
        struct metering m;
        int64_t sum = 0, before = 0;
        uint64_t last_ns = 0;
        metering_open(&m);
        crowd.instrument = srun_counter(m.meter, "n", NULL);
        crowd_start(&crowd, add_all, ROUNDS);
        for (bool last = false; !last;) {
            last = atomic_load(&crowd.left) == 0;
            (void)metering_collect(&m, m.deltas);
            const struct telemetry_metric *metric = metering_metric(&m, "n");
            for (size_t i = 0; metric != NULL && i < metric->point_count; i++) {
                ck_assert(metric->delta);
                ck_assert_int_gt(metric->points[i].integer, 0);
                ck_assert_uint_ge(metric->points[i].start_ns, last_ns);
            }
            last_ns = metric != NULL ? metric->points[0].time_ns : last_ns;
            sum += sum_points(metric);
            (void)metering_collect(&m, m.reader);
            int64_t total = sum_points(metering_metric(&m, "n"));
            ck_assert_int_ge(total, before);
            ck_assert_int_ge(total, sum);
            before = total;
        }
        crowd_join(&crowd);
        ck_assert_int_eq(sum, (int64_t)THREADS * ROUNDS * SETS);
        ck_assert_int_eq(before, sum);
        (void)metering_collect(&m, m.deltas);
        ck_assert_ptr_null(metering_metric(&m, "n")); /* nothing has happened since */
        metering_close(&m);
    }
END_TEST

static uint64_t check_histogram(const struct telemetry_point *point)
{
    uint64_t count = 0;
    for (size_t i = 0; point != NULL && i < point->bucket_count; i++)
        count += point->buckets[i];
    ck_assert(point == NULL || count == point->count);
    return count;
}

START_TEST(a_histogram_s_count_is_the_sum_of_its_buckets_at_any_time)
    {
        static const size_t rounds = 20000;
        struct crowd crowd;
        struct metering m;
        uint64_t count = 0, before = 0;
        metering_open(&m);
        crowd.histogram = srun_histogram(m.meter, "h", NULL);
        crowd_start(&crowd, record_all, rounds);
        for (bool last = false; !last;) {
            last = atomic_load(&crowd.left) == 0;
            (void)metering_collect(&m, m.deltas);
            count += check_histogram(metering_point(&m, "h", ""));
            (void)metering_collect(&m, m.reader);
            uint64_t total = check_histogram(metering_point(&m, "h", ""));
            ck_assert_uint_ge(total, before);
            before = total;
        }
        crowd_join(&crowd);
        ck_assert_uint_eq(before, THREADS * rounds);
        ck_assert_uint_eq(count, THREADS * rounds);
        const struct telemetry_point *point = metering_point(&m, "h", "");
        ck_assert_double_eq(point->sum,
                            (double)THREADS * (double)rounds * (double)(rounds - 1) / 2);
        ck_assert(point->has_min_max);
        ck_assert_double_eq(point->min, 0);
        ck_assert_double_eq(point->max, (double)(rounds - 1));
        metering_close(&m);
    }
END_TEST

/* --- readers --------------------------------------------------------------------------------- */

static void assert_extremes(struct metering *m, struct telemetry_reader *reader, double min,
                            double max)
{
    (void)metering_collect(m, reader);
    const struct telemetry_point *point = metering_point(m, "h", "");
    ck_assert_ptr_nonnull(point);
    ck_assert(point->has_min_max);
    ck_assert_double_eq(point->min, min);
    ck_assert_double_eq(point->max, max);
}

static void check_extremes(const struct srun_instrument_options *options)
{
    struct metering m;
    struct telemetry_reader *third = NULL;
    metering_open(&m);
    srun_instrument *histogram = srun_histogram(m.meter, "h", options);
    srun_record(histogram, 3, NULL);
    srun_record(histogram, 90, NULL);
    assert_extremes(&m, m.reader, 3, 90);
    assert_extremes(&m, m.deltas, 3, 90);
    srun_record(histogram, 7, NULL);
    assert_extremes(&m, m.reader, 3, 90);
    srun_record(histogram, 8, NULL);
    assert_extremes(&m, m.deltas, 7, 8);
    (void)metering_collect(&m, m.deltas);
    ck_assert_ptr_null(metering_metric(&m, "h"));
    ck_assert_int_eq(
        telemetry_reader_new(&third, m.meters, &(struct telemetry_reader_options){.delta = true}),
        0);
    srun_record(histogram, 0, NULL);
    assert_extremes(&m, third, 0, 90);
    assert_extremes(&m, m.deltas, 0, 0);
    srun_record(histogram, 2000, NULL);
    assert_extremes(&m, m.deltas, 2000, 2000);
    assert_extremes(&m, third, 2000, 2000);
    assert_extremes(&m, m.reader, 0, 2000);
    (void)telemetry_reader_free(third);
    metering_close(&m);
}

START_TEST(each_reader_is_told_the_extremes_of_its_interval)
    {
        check_extremes(NULL);
        check_extremes(OPTIONS(.exponential = 1));
    }
END_TEST

/* As if a thread were between two of its additions: a sum without its count is not given away. */
START_TEST(a_sum_that_comes_before_its_count_is_told_with_it)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *histogram = srun_histogram(m.meter, "h", NULL);
        srun_record(histogram, 1, NULL);
        (void)metering_collect(&m, m.deltas);
        cell *cells = srun_bind(histogram, NULL)->cells;
        cell_add_real(&cells[SERIES_TOTAL], 2);
        (void)metering_collect(&m, m.deltas);
        ck_assert_ptr_null(metering_metric(&m, "h"));
        cell_add(&cells[SERIES_BUCKETS + 1], 1);
        (void)metering_collect(&m, m.deltas);
        ck_assert_double_eq(metering_point(&m, "h", "")->sum, 2);
        ck_assert(!metering_point(&m, "h", "")->has_min_max); /* they are not there yet */
        cell_raise(&cells[SERIES_LEAST], ~sortable_of(2));
        cell_raise(&cells[SERIES_LARGEST], sortable_of(2));
        srun_record(histogram, 600, NULL);
        (void)metering_collect(&m, m.deltas);
        ck_assert_uint_eq(metering_point(&m, "h", "")->count, 1);
        ck_assert(!metering_point(&m, "h", "")->has_min_max); /* 2 is not of this interval */
        srun_record(histogram, 700, NULL);
        assert_extremes(&m, m.deltas, 700, 700);
        metering_close(&m);
    }
END_TEST

START_TEST(readers_do_not_disturb_each_other)
    {
        struct telemetry_reader *third = NULL, *fourth = NULL, *fifth = NULL;
        struct metering m;
        metering_open(&m);
        const struct telemetry_reader_options delta = {.delta = true};
        ck_assert_int_eq(telemetry_reader_new(&third, m.meters, &delta), 0);
        srun_instrument *counter = srun_counter(m.meter, "n", NULL);
        srun_instrument *up_down = srun_up_down_counter(m.meter, "u", NULL);
        srun_add(counter, 5, NULL);
        srun_add(up_down, -5, NULL);
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", ""), 5);
        ck_assert_int_eq(metering_int(&m, "u", ""), -5);
        srun_add(counter, 1, NULL);
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "n", ""), 1);
        ck_assert_int_eq(metering_int(&m, "u", ""), -5); /* what goes down is always a total */
        ck_assert(!metering_metric(&m, "u")->delta);
        (void)metering_collect(&m, third);
        ck_assert_int_eq(metering_int(&m, "n", ""), 6);
        (void)metering_collect(&m, m.reader);
        ck_assert_int_eq(metering_int(&m, "n", ""), 6);
        ck_assert_int_eq(telemetry_reader_new(&fourth, m.meters, &delta), 0);
        ck_assert_int_lt(telemetry_reader_new(&fifth, m.meters, &delta), 0);
        (void)telemetry_reader_free(third);
        ck_assert_int_eq(telemetry_reader_new(&third, m.meters, &delta), 0);
        (void)metering_collect(&m, third); /* in the place of one that had seen all */
        ck_assert_int_eq(metering_int(&m, "n", ""), 6);
        (void)telemetry_reader_free(third);
        (void)telemetry_reader_free(fourth);
        metering_close(&m);
    }
END_TEST

START_TEST(a_gauge_shows_its_last_value_once_it_has_one)
    {
        struct metering m;
        metering_open(&m);
        srun_series *whole = srun_bind(srun_gauge(m.meter, "i", NULL), NULL);
        srun_series *real = srun_bind(srun_gauge(m.meter, "d", OPTIONS(.real = 1)), NULL);
        ck_assert_uint_eq(metering_collect(&m, m.reader), 0);
        srun_series_set(whole, 5);
        srun_series_set(whole, -7);
        srun_series_set_real(real, 0.25);
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "i", ""), -7);
        ck_assert_double_eq(metering_real(&m, "d", ""), 0.25);
        srun_series_set_real(real, NAN);
        srun_series_set(real, 3);
        (void)metering_collect(&m, m.deltas);
        ck_assert_double_eq(metering_real(&m, "d", ""), 3);
        ck_assert_int_eq(metering_int(&m, "i", ""), -7);
        metering_close(&m);
    }
END_TEST

START_TEST(sums_of_int64_wrap_and_those_of_doubles_add)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *whole = srun_up_down_counter(m.meter, "i", NULL);
        srun_instrument *real = srun_counter(m.meter, "d", OPTIONS(.real = 1));
        srun_add(whole, INT64_MAX, NULL);
        srun_add(whole, 1, NULL);
        for (int i = 0; i < 8; i++)
            srun_add_real(real, 0.125, NULL);
        (void)metering_collect(&m, m.deltas);
        ck_assert_int_eq(metering_int(&m, "i", ""), INT64_MIN);
        ck_assert_double_eq(metering_real(&m, "d", ""), 1);
        metering_close(&m);
    }
END_TEST

/* --- buckets --------------------------------------------------------------------------------- */

START_TEST(a_value_on_a_bound_belongs_below_it)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *histogram = srun_histogram(m.meter, "h", NULL);
        srun_record(histogram, 0, NULL);
        (void)metering_collect(&m, m.deltas);
        const struct telemetry_metric *metric = metering_metric(&m, "h");
        size_t count = metric->bound_count, checked = 0;
        double bounds[16];
        ck_assert_uint_eq(count, 15);
        memcpy(bounds, metric->bounds, count * sizeof bounds[0]);
        for (size_t i = 0; i < count; i++)
            for (int step = -1; step <= 1; step++) {
                double value = step == 0  ? bounds[i]
                               : step < 0 ? nextafter(bounds[i], -INFINITY)
                                          : nextafter(bounds[i], INFINITY);
                if (value < 0)
                    continue;
                srun_record(histogram, value, NULL);
                (void)metering_collect(&m, m.deltas);
                const struct telemetry_point *point = metering_point(&m, "h", "");
                size_t wanted = 0;
                while (wanted < count && !(value <= bounds[wanted]))
                    wanted++;
                ck_assert_uint_eq(point->count, 1);
                ck_assert_uint_eq(point->buckets[wanted], 1);
                ck_assert_double_eq_tol(point->sum, value, 1e-9); /* a difference is rounded */
                checked++;
            }
        ck_assert_uint_eq(checked, 44); /* of 45: one lies below 0 */
        metering_close(&m);
    }
END_TEST

START_TEST(every_number_of_bounds_is_searched_right)
    {
        double bounds[70];
        struct metering m;
        metering_open(&m);
        for (int i = 0; i < 70; i++)
            bounds[i] = i * 2 + 1;
        for (size_t count = 0; count <= 70; count++) {
            char name[16];
            (void)snprintf(name, sizeof name, "h%zu", count);
            srun_instrument *histogram =
                srun_histogram(m.meter, name, OPTIONS(.bounds = bounds, .bound_count = count));
            for (size_t value = 0; value <= 2 * count; value++)
                srun_record(histogram, (double)value, NULL);
            (void)metering_collect(&m, m.reader);
            const struct telemetry_point *point = metering_point(&m, name, "");
            for (size_t i = 0; i < count; i++)
                ck_assert_uint_eq(point->buckets[i], 2);
            ck_assert_uint_eq(point->buckets[count], 1);
        }
        metering_close(&m);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "metrics_series", a_set_is_the_same_in_any_order_and_spelling,
        sets_that_differ_in_a_byte_or_a_type_differ, every_byte_of_a_key_and_a_value_counts,
        attributes_come_out_by_key_with_their_types, a_set_that_is_too_large_is_counted_as_overflow,
        beyond_the_limit_nothing_is_lost, threads_that_make_the_same_sets_share_them,
        at_the_limit_threads_lose_nothing, differences_add_up_to_the_total_while_it_grows,
        a_histogram_s_count_is_the_sum_of_its_buckets_at_any_time,
        each_reader_is_told_the_extremes_of_its_interval,
        a_sum_that_comes_before_its_count_is_told_with_it, readers_do_not_disturb_each_other,
        a_gauge_shows_its_last_value_once_it_has_one, sums_of_int64_wrap_and_those_of_doubles_add,
        a_value_on_a_bound_belongs_below_it, every_number_of_bounds_is_searched_right);
}
