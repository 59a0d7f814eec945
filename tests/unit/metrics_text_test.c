/* SPDX-License-Identifier: MIT
 *
 * What Prometheus is told, byte by byte: names and units, families, escapes, both formats, and
 * which of them a client gets.
 */
#include "comma.h"
#include "metering.h"
#include "telemetry/labels.h"
#include "telemetry/negotiate.h"
#include "telemetry/prometheus.h"

#include <stdio.h>

#define OPTIONS SRUN_INSTRUMENT

/* All that there is, as text; owned by the caller. */
static char *text_of(struct metering *m, bool openmetrics)
{
    struct buf out = {0};
    (void)metering_collect(m, m->reader);
    (void)prometheus_write(&out, m->metrics, m->count, NULL, openmetrics);
    ck_assert(!out.failed);
    return out.data != NULL ? out.data : strdup("");
}

static void assert_text(struct metering *m, bool openmetrics, const char *wanted)
{
    char *text = text_of(m, openmetrics);
    ck_assert_str_eq(text, wanted);
    free(text);
}

/* --- names ----------------------------------------------------------------------------------- */

static const struct {
    enum telemetry_metric_kind kind;
    bool monotonic;
    const char *name, *unit, *wanted;
} names[] = {
    {TELEMETRY_SUM, true, "http.requests", "{request}", "http_requests_total"},
    {TELEMETRY_SUM, true, "requests_total", "", "requests_total"},
    {TELEMETRY_SUM, true, "total", "", "total_total"},
    {TELEMETRY_SUM, true, "cpu.time", "s", "cpu_time_seconds_total"},
    {TELEMETRY_SUM, true, "cpu_seconds", "s", "cpu_seconds_total"},
    {TELEMETRY_SUM, true, "cpu_seconds_total", "s", "cpu_seconds_total"},
    {TELEMETRY_SUM, true, "seconds", "s", "seconds_seconds_total"},
    {TELEMETRY_SUM, false, "queue.length", "{item}", "queue_length"},
    {TELEMETRY_SUM, false, "ratio", "1", "ratio"},
    {TELEMETRY_GAUGE, false, "load", "1", "load_ratio"},
    {TELEMETRY_GAUGE, false, "load_ratio", "1", "load_ratio"},
    {TELEMETRY_GAUGE, false, "memory", "By", "memory_bytes"},
    {TELEMETRY_GAUGE, false, "memory", "MiBy", "memory_mebibytes"},
    {TELEMETRY_GAUGE, false, "rate", "By/s", "rate_bytes_per_second"},
    {TELEMETRY_GAUGE, false, "rate", "{request}/s", "rate_per_second"},
    {TELEMETRY_GAUGE, false, "rate", "1/min", "rate_per_minute"},
    {TELEMETRY_GAUGE, false, "speed", "m/h", "speed_meters_per_hour"},
    {TELEMETRY_GAUGE, false, "used", "%", "used_percent"},
    {TELEMETRY_GAUGE, false, "odd", "foo-bar", "odd_foo_bar"},
    {TELEMETRY_GAUGE, false, "a..b--c//d", "", "a_b_c_d"},
    {TELEMETRY_GAUGE, false, "a.", "", "a"},
    {TELEMETRY_GAUGE, false, "3d", "", "_3d"},
    {TELEMETRY_GAUGE, false, "a:b", "", "a:b"},
    {TELEMETRY_GAUGE, false, "Z~ [", "z_[", "Z_z"},
    {TELEMETRY_GAUGE, false, "a", "b/", "a_b"},
    {TELEMETRY_GAUGE, false, "a", "__", "a"},
    {TELEMETRY_GAUGE, false, "xxseconds", "s", "xxseconds_seconds"},
    {TELEMETRY_GAUGE, false, "-a", "", "_a"},
    {TELEMETRY_GAUGE, false, "a",
     "1234567890123456789012345678901234567890123456789012345678901234567890",
     "a_1234567890123456789012345678901234567890123456789012345678901234"},
    {TELEMETRY_GAUGE, false, "srun-feature-flags", "", "srun_feature_flags"},
    {TELEMETRY_HISTOGRAM, false, "latency", "ms", "latency_milliseconds"},
    {TELEMETRY_HISTOGRAM, false, "http.server.request.duration", "s",
     "http_server_request_duration_seconds"},
};

START_TEST(names_get_their_unit_and_total_once)
    {
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            auto_buf struct buf out = {0};
            prometheus_name(&out,
                            &(struct telemetry_metric){.name = names[i].name,
                                                       .unit = names[i].unit,
                                                       .kind = names[i].kind,
                                                       .monotonic = names[i].monotonic},
                            NULL);
            ck_assert_str_eq(out.data, names[i].wanted);
        }
    }
END_TEST

/* --- both formats ---------------------------------------------------------------------------- */

START_TEST(a_counter_is_a_family_of_its_own)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *counter =
            srun_counter(m.meter, "http.requests", OPTIONS(.help = "What came.", .unit = "s"));
        srun_add(counter, 3, SRUN_KVS(SRUN_STR("route", "/"), SRUN_INT("code", 200)));
        srun_add(counter, 1, NULL);
        assert_text(
            &m, false,
            "# HELP http_requests_seconds_total What came.\n"
            "# TYPE http_requests_seconds_total counter\n"
            "http_requests_seconds_total{otel_scope_name=\"test\",code=\"200\",route=\"/\"} 3\n"
            "http_requests_seconds_total{otel_scope_name=\"test\"} 1\n");
        assert_text(
            &m, true,
            "# HELP http_requests_seconds What came.\n"
            "# TYPE http_requests_seconds counter\n"
            "# UNIT http_requests_seconds seconds\n"
            "http_requests_seconds_total{otel_scope_name=\"test\",code=\"200\",route=\"/\"} 3\n"
            "http_requests_seconds_total{otel_scope_name=\"test\"} 1\n"
            "# EOF\n");
        metering_close(&m);
    }
END_TEST

START_TEST(a_histogram_shows_cumulative_buckets)
    {
        static const double bounds[] = {0.5, 1, 1e6};
        struct metering m;
        metering_open(&m);
        srun_instrument *histogram = srun_histogram(telemetry_meter(m.meters, "", ""), "h",
                                                    OPTIONS(.bounds = bounds, .bound_count = 3));
        srun_record(histogram, 0.5, NULL);
        srun_record(histogram, 0.75, NULL);
        srun_record(histogram, 2e6, NULL);
        assert_text(&m, false,
                    "# TYPE h histogram\n"
                    "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"1e+06\"} 2\n"
                    "h_bucket{le=\"+Inf\"} 3\nh_sum 2.00000125e+06\nh_count 3\n");
        assert_text(&m, true,
                    "# TYPE h histogram\n"
                    "h_bucket{le=\"0.5\"} 1\nh_bucket{le=\"1.0\"} 2\nh_bucket{le=\"1e+06\"} 2\n"
                    "h_bucket{le=\"+Inf\"} 3\nh_sum 2.00000125e+06\nh_count 3\n# EOF\n");
        metering_close(&m);
    }
END_TEST

START_TEST(an_exponential_histogram_shows_what_text_can_hold)
    {
        struct metering m;
        metering_open(&m);
        srun_record(
            srun_histogram(telemetry_meter(m.meters, "", ""), "h", OPTIONS(.exponential = 1)), 2,
            SRUN_KVS(SRUN_INT("a", 1)));
        assert_text(&m, false,
                    "# TYPE h histogram\nh_bucket{a=\"1\",le=\"+Inf\"} 1\nh_sum{a=\"1\"} 2\n"
                    "h_count{a=\"1\"} 1\n");
        metering_close(&m);
    }
END_TEST

START_TEST(scopes_share_a_family)
    {
        struct metering m;
        metering_open(&m);
        srun_meter *other = telemetry_meter(m.meters, "oth\"er", "1.2");
        srun_set(srun_gauge(m.meter, "g", OPTIONS(.help = "First.")), 1, NULL);
        srun_set(srun_gauge(m.meter, "between", NULL), 2, NULL);
        srun_set(srun_gauge(other, "g", OPTIONS(.help = "Second.")), 3, NULL);
        assert_text(&m, false,
                    "# HELP g First.\n# TYPE g gauge\ng{otel_scope_name=\"test\"} 1\n"
                    "g{otel_scope_name=\"oth\\\"er\",otel_scope_version=\"1.2\"} 3\n"
                    "# TYPE between gauge\nbetween{otel_scope_name=\"test\"} 2\n");
        metering_close(&m);
    }
END_TEST

START_TEST(what_would_clash_in_a_family_is_left_out)
    {
        struct metering m;
        metering_open(&m);
        srun_meter *other = telemetry_meter(m.meters, "other", "");
        srun_set(srun_gauge(m.meter, "a_total", NULL), 1, NULL);
        srun_add(srun_counter(other, "a", NULL), 2, NULL);
        srun_set(srun_gauge(m.meter, "b.c", NULL), 3, NULL);
        srun_set(srun_gauge(m.meter, "b_c", NULL), 4, NULL);
        assert_text(&m, false,
                    "# TYPE a_total gauge\na_total{otel_scope_name=\"test\"} 1\n"
                    "# TYPE b_c gauge\nb_c{otel_scope_name=\"test\"} 3\n");
        auto_buf struct buf out = {0};
        ck_assert_uint_eq(prometheus_write(&out, m.metrics, m.count, NULL, false), 2);
        metering_close(&m);
    }
END_TEST

START_TEST(what_is_left_out_leaves_out_no_other)
    {
        struct metering m;
        metering_open(&m);
        srun_meter *other = telemetry_meter(m.meters, "other", "");
        srun_set(srun_gauge(m.meter, "a_total", NULL), 1, NULL);
        srun_add(srun_counter(other, "a", NULL), 2, NULL);
        srun_set(srun_gauge(other, "a_total", NULL), 3, NULL);
        assert_text(&m, false,
                    "# TYPE a_total gauge\na_total{otel_scope_name=\"test\"} 1\n"
                    "a_total{otel_scope_name=\"other\"} 3\n");
        struct telemetry_metric metrics[2] = {m.metrics[1], m.metrics[0]};
        metrics[0].delta = true; /* of another type, and not shown */
        auto_buf struct buf out = {0};
        ck_assert_uint_eq(prometheus_write(&out, metrics, 2, NULL, false), 1);
        ck_assert_str_eq(out.data, "# TYPE a_total gauge\na_total{otel_scope_name=\"test\"} 1\n");
        metering_close(&m);
    }
END_TEST

/* The first metric is told, the second is not. */
static void assert_first_only(const struct telemetry_metric *first,
                              const struct telemetry_metric *second, bool openmetrics)
{
    static const struct telemetry_scope scopes[] = {{"one", "", ""}, {"two", "", ""}};
    static const uint64_t buckets[1];
    static const struct telemetry_point point = {.labels = "", .buckets = buckets};
    struct telemetry_metric both[] = {*first, *second};
    auto_buf struct buf alone = {0}, out = {0};
    for (size_t i = 0; i < 2; i++) {
        both[i].scope = &scopes[i];
        both[i].points = &point;
        both[i].point_count = 1;
    }
    ck_assert_uint_eq(prometheus_write(&alone, both, 1, NULL, openmetrics), 0);
    ck_assert_uint_eq(prometheus_write(&out, both, 2, NULL, openmetrics), 1);
    ck_assert_str_eq(out.data, alone.data);
}

static void assert_both(const struct telemetry_metric *first, const struct telemetry_metric *second,
                        bool openmetrics)
{
    static const struct telemetry_point point = {.labels = ""};
    struct telemetry_metric both[] = {*first, *second};
    auto_buf struct buf out = {0};
    both[0].points = both[1].points = &point;
    both[0].point_count = both[1].point_count = 1;
    ck_assert_uint_eq(prometheus_write(&out, both, 2, NULL, openmetrics), 0);
}

START_TEST(families_share_no_name_of_a_line)
    {
        const struct telemetry_metric counter = {.name = "a",
                                                 .kind = TELEMETRY_SUM,
                                                 .monotonic = true},
                                      gauge = {.name = "a"}, total = {.name = "a_total"},
                                      created = {.name = "a_created"},
                                      histogram = {.name = "a", .kind = TELEMETRY_HISTOGRAM},
                                      count = {.name = "a_count"}, bucket = {.name = "a_bucket"},
                                      other = {.name = "a_counts"};
        const struct telemetry_metric *const clashing[][2] = {{&counter, &gauge},
                                                              {&counter, &created},
                                                              {&histogram, &counter},
                                                              {&histogram, &created}};
        const struct telemetry_metric *const always[][2] = {
            {&counter, &total}, {&histogram, &gauge}, {&histogram, &count}, {&histogram, &bucket}};
        for (size_t i = 0; i < sizeof clashing / sizeof clashing[0]; i++) {
            assert_first_only(clashing[i][0], clashing[i][1], true);
            assert_first_only(clashing[i][1], clashing[i][0], true);
            assert_both(clashing[i][0], clashing[i][1], false);
        }
        for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
            for (int openmetrics = 0; openmetrics < 2; openmetrics++) {
                assert_first_only(always[i][0], always[i][1], openmetrics);
                assert_first_only(always[i][1], always[i][0], openmetrics);
                assert_both(always[i][0], &other, openmetrics);
            }
    }
END_TEST

START_TEST(nothing_takes_the_name_of_the_target)
    {
        const struct telemetry_resource resource = {.attributes =
                                                        SRUN_KVS(SRUN_STR("service.name", "shop"))};
        const struct telemetry_point point = {.labels = ""};
        const struct telemetry_metric info = {.name = "target.info",
                                              .points = &point,
                                              .point_count = 1},
                                      target = {
                                          .name = "target", .points = &point, .point_count = 1};
        auto_buf struct buf out = {0};
        ck_assert_uint_eq(prometheus_write(&out, &info, 1, &resource, false), 1);
        ck_assert_uint_eq(prometheus_write(&out, &info, 1, &resource, true), 1);
        ck_assert_uint_eq(prometheus_write(&out, &target, 1, &resource, false), 0);
        ck_assert_uint_eq(prometheus_write(&out, &target, 1, &resource, true), 1);
    }
END_TEST

START_TEST(the_resource_is_the_target)
    {
        const struct telemetry_resource resource = {
            .attributes = SRUN_KVS(SRUN_STR("service.name", "shop"), SRUN_INT("process.pid", 1))};
        auto_buf struct buf text = {0}, openmetrics = {0};
        (void)prometheus_write(&text, NULL, 0, &resource, false);
        (void)prometheus_write(&openmetrics, NULL, 0, &resource, true);
        ck_assert_str_eq(text.data, "# HELP target_info Target metadata\n# TYPE target_info gauge\n"
                                    "target_info{process_pid=\"1\",service_name=\"shop\"} 1\n");
        ck_assert_str_eq(openmetrics.data,
                         "# HELP target Target metadata\n# TYPE target info\n"
                         "target_info{process_pid=\"1\",service_name=\"shop\"} 1\n# EOF\n");
    }
END_TEST

START_TEST(of_a_large_resource_some_is_shown)
    {
        struct srun_kv many[101];
        char keys[100][8];
        for (int i = 0; i < 100; i++) {
            (void)snprintf(keys[i], sizeof keys[i], "k%02d", i);
            many[i] = SRUN_INT(keys[i], i);
        }
        many[100] = (struct srun_kv){.type = SRUN_KV_END};
        const struct telemetry_resource resource = {.attributes = many};
        auto_buf struct buf out = {0};
        (void)prometheus_write(&out, NULL, 0, &resource, false);
        ck_assert(!out.failed);
        ck_assert_ptr_nonnull(strstr(out.data, "k63=\"63\"} 1\n"));
    }
END_TEST

START_TEST(exemplars_stand_behind_the_bucket_they_belong_to)
    {
        static const double bounds[] = {1, 2};
        static const uint64_t buckets[] = {1, 1, 0};
        const struct telemetry_exemplar exemplars[] = {
            {.time_ns = 1500000000000000000,
             .value = 2,
             .trace_id = {0xab, [15] = 1},
             .span_id = {0xcd, [7] = 2}},
            {.time_ns = 1400000000000000000, .value = 1.5, .trace_id = {1}, .span_id = {1}},
        };
        const struct telemetry_point point = {.labels = "",
                                              .buckets = buckets,
                                              .bucket_count = 3,
                                              .count = 2,
                                              .exemplars = exemplars,
                                              .exemplar_count = 2};
        const struct telemetry_metric metric = {.name = "h",
                                                .unit = "",
                                                .kind = TELEMETRY_HISTOGRAM,
                                                .bounds = bounds,
                                                .bound_count = 2,
                                                .points = &point,
                                                .point_count = 1};
        auto_buf struct buf text = {0}, openmetrics = {0};
        (void)prometheus_write(&text, &metric, 1, NULL, false);
        (void)prometheus_write(&openmetrics, &metric, 1, NULL, true);
        ck_assert_ptr_null(strstr(text.data, " # "));
        ck_assert_str_eq(openmetrics.data,
                         "# TYPE h histogram\nh_bucket{le=\"1.0\"} 1\n"
                         "h_bucket{le=\"2.0\"} 2 # {trace_id=\"ab000000000000000000000000000001\","
                         "span_id=\"cd00000000000002\"} 2 1500000000.000\n"
                         "h_bucket{le=\"+Inf\"} 2\nh_count 2\n# EOF\n");
    }
END_TEST

/* --- escapes --------------------------------------------------------------------------------- */

START_TEST(no_value_breaks_out_of_its_quotes)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *gauge =
            srun_gauge(telemetry_meter(m.meters, "", ""), "g", OPTIONS(.help = "a\\b\nc\"d\xff"));
        srun_set(gauge, 1,
                 SRUN_KVS(SRUN_STR("v", "\"} 5\n# TYPE x \\ \xff\xc3\xa4\xed\xa0\x80"),
                          SRUN_TEXT("nul", "a\0b", 3)));
        assert_text(&m, false,
                    "# HELP g a\\\\b\\nc\"d\xef\xbf\xbd\n# TYPE g gauge\n"
                    "g{nul=\"a\xef\xbf\xbd"
                    "b\",v=\"\\\"} 5\\n# TYPE x \\\\ \xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd"
                    "\xef\xbf\xbd\"} 1\n");
        char *text = text_of(&m, true);
        ck_assert_ptr_nonnull(strstr(text, "# HELP g a\\\\b\\nc\\\"d\xef\xbf\xbd\n"));
        free(text);
        metering_close(&m);
    }
END_TEST

START_TEST(names_of_labels_are_made_fit)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *gauge = srun_gauge(telemetry_meter(m.meters, "", ""), "g", NULL);
        srun_set(gauge, 1,
                 SRUN_KVS(SRUN_INT("a.b", 1), SRUN_INT("a_b", 2), SRUN_INT("a b", 3),
                          SRUN_INT("9", 4), SRUN_INT("le", 5), SRUN_INT("otel_scope_name", 6),
                          SRUN_INT("\xc3\xa4", 7), SRUN_INT("x\"} 1\n", 8), SRUN_BOOL("t", 1),
                          SRUN_DOUBLE("f", 0.5)));
        assert_text(
            &m, false,
            "# TYPE g gauge\n"
            "g{key_9=\"4\",a_b=\"3;1;2\",f=\"0.5\",exported_le=\"5\","
            "exported_otel_scope_name=\"6\",t=\"true\",x___1_=\"8\",exported___=\"7\"} 1\n");
        metering_close(&m);
    }
END_TEST

START_TEST(names_that_become_the_same_are_one)
    {
        struct metering m;
        metering_open(&m);
        srun_instrument *gauge = srun_gauge(telemetry_meter(m.meters, "", ""), "g", NULL);
        srun_set(gauge, 1,
                 SRUN_KVS(SRUN_INT("le", 1), SRUN_INT("exported_le", 2), SRUN_INT("0", 3),
                          SRUN_INT("key_0", 4), SRUN_INT("otel.scope.name", 5),
                          SRUN_INT("exported.otel.scope.name", 6), SRUN_INT("lee", 7)));
        assert_text(&m, false,
                    "# TYPE g gauge\n"
                    "g{key_0=\"3;4\",exported_otel_scope_name=\"6;5\",exported_le=\"2;1\","
                    "lee=\"7\"} 1\n");
        metering_close(&m);
    }
END_TEST

START_TEST(numbers_do_not_know_the_locale)
    {
        struct metering m;
        metering_open(&m);
        comma_locale();
        srun_meter *meter = telemetry_meter(m.meters, "", "");
        srun_set_real(srun_gauge(meter, "a", OPTIONS(.real = 1)), 0.1, NULL);
        srun_set_real(srun_gauge(meter, "b", OPTIONS(.real = 1)), 1e300, NULL);
        srun_set_real(srun_gauge(meter, "c", OPTIONS(.real = 1)), -12345.678901, NULL);
        srun_set(srun_gauge(meter, "d", NULL), INT64_MIN, NULL);
        assert_text(&m, false,
                    "# TYPE a gauge\na 0.1\n# TYPE b gauge\nb 1e+300\n# TYPE c gauge\n"
                    "c -12345.678901\n# TYPE d gauge\nd -9223372036854775808\n");
        metering_close(&m);
    }
END_TEST

/* --- which format ---------------------------------------------------------------------------- */

#define TEXT "text/plain; version=0.0.4; charset=utf-8"
#define TEXT_1 "text/plain; version=1.0.0; charset=utf-8"
#define OPEN_0 "application/openmetrics-text; version=0.0.1; charset=utf-8"
#define OPEN_1 "application/openmetrics-text; version=1.0.0; charset=utf-8"
#define UTF_8 "; escaping=allow-utf-8"
#define UNDERSCORES "; escaping=underscores"
#define OM "application/openmetrics-text"

static const struct {
    const char *accept, *wanted;
} wishes[] = {
    {NULL, TEXT},
    {"", TEXT},
    {"*/*", TEXT},
    {"text/*", TEXT},
    {"text/plain", TEXT},
    {"TEXT/Plain", TEXT},
    {"text/html", TEXT},
    {"application/json", TEXT},
    {"text/plain;version=0.0.4", TEXT},
    {"text/plain;version=0.0.3", TEXT},
    {"text/plain;version=1.0.0", TEXT_1},
    {"text/plain; version=1.0.0; q=0.1, text/plain;version=0.0.4;q=0.2", TEXT},
    {OM, OPEN_0},
    {OM ";version=0.0.1", OPEN_0},
    {OM ";version=1.0.0", OPEN_1},
    {OM "; version = 1.0.0 ; charset=utf-8", OPEN_1},
    {OM ";version=\"1.0.0\"", OPEN_1},
    {OM ";VERSION=1.0.0", OPEN_1},
    {OM ";version=2.0.0", TEXT},
    {OM ";version=1.0.0;q=0", TEXT},
    {OM ";version=1.0.0;q=0.0", TEXT},
    {OM ";version=1.0.0,text/plain;version=0.0.4", OPEN_1},
    {"text/plain;version=0.0.4," OM ";version=1.0.0", TEXT},
    {OM ";version=1.0.0;q=0.5,text/plain;q=0.6", TEXT},
    {OM ";version=1.0.0;q=0.75,text/plain;q=0.5", OPEN_1},
    {OM ";version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.50", OPEN_1},
    {OM ";version=1.0.0;q=.5,text/plain;q=0.9", OPEN_1},
    {OM ";version=1.0.0;q=0.1234,text/plain;q=0.1233", OPEN_1},
    {OM ";version=1.0.0;q=0.x,text/plain;q=0.9", OPEN_1},
    {OM ";version=1.0.0;q=0./,text/plain;q=0.9", OPEN_1},
    {OM ";version=1.0.0;q=2,text/plain;q=0.9", OPEN_1},
    {OM ";version=1.0.0;q=1.5,text/plain;q=0.9", OPEN_1},
    {"*/*;q=0," OM ";version=1.0.0;q=0", TEXT},
    {"*/*,text/*," OM ";version=1.0.0", OPEN_1},
    {"*/*," OM ";version=1.0.0", OPEN_1},
    {"*/*;q=0.9," OM ";version=1.0.0;q=0.1", TEXT},
    {"*/*;q=0.1," OM ";version=1.0.0;q=0.9", OPEN_1},
    {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
     "text/plain;version=0.0.4;q=0.3",
     TEXT},
    {OM ";version=1.0.0," OM ";version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
     OPEN_1},
    {OM ";version=0.0.1," OM ";version=1.0.0;q=0.75", OPEN_0},
    {OM ";version=1.0.0;escaping=allow-utf-8;q=0.5," OM
        ";version=0.0.1;q=0.4,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.3,"
        "text/plain;version=0.0.4;q=0.2,/;q=0.1",
     OPEN_1 UTF_8},
    {OM ";version=1.0.0;escaping=allow-utf8", OPEN_1 UTF_8},
    {"text/plain;version=1.0.0;escaping=allow-utf-8", TEXT_1 UTF_8},
    {"text/plain;version=1.0.0;escaping=allow-utf8", TEXT_1 UTF_8},
    {"text/plain;version=0.0.4;escaping=underscores", TEXT UNDERSCORES},
    {OM ";version=1.0.0;escaping=values", OPEN_1 UNDERSCORES},
    {OM ";version=1.0.0;escaping=dots", OPEN_1 UNDERSCORES},
    {",,;;,;q=,=;\"", TEXT},
    {"application/openmetrics-text-and-something-that-is-much-longer-than-any-type;q=1", TEXT},
    {"text/plain;x=\",\"," OM ";version=1.0.0;q=0.1", TEXT},
    {"a/b;x=\"," OM ";version=1.0.0\"", TEXT},
};

START_TEST(a_client_gets_the_format_that_it_ranks_highest)
    {
        for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
            struct negotiated out;
            negotiate(wishes[i].accept, &out);
            ck_assert_msg(strcmp(out.type, wishes[i].wanted) == 0, "%s: %s, not %s",
                          wishes[i].accept, out.type, wishes[i].wanted);
            ck_assert_int_eq(out.openmetrics, strncmp(out.type, OM, strlen(OM)) == 0);
        }
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_text", names_get_their_unit_and_total_once,
                   a_counter_is_a_family_of_its_own, a_histogram_shows_cumulative_buckets,
                   an_exponential_histogram_shows_what_text_can_hold, scopes_share_a_family,
                   what_would_clash_in_a_family_is_left_out, what_is_left_out_leaves_out_no_other,
                   families_share_no_name_of_a_line, nothing_takes_the_name_of_the_target,
                   the_resource_is_the_target, of_a_large_resource_some_is_shown,
                   exemplars_stand_behind_the_bucket_they_belong_to,
                   no_value_breaks_out_of_its_quotes, names_of_labels_are_made_fit,
                   names_that_become_the_same_are_one, numbers_do_not_know_the_locale,
                   a_client_gets_the_format_that_it_ranks_highest);
}
