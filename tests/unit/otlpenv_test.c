/* SPDX-License-Identifier: MIT
 *
 * Endpoints, headers and OTEL_EXPORTER_OTLP_*: what people write, and what becomes of it.
 */
#include "base/ensure.h"
#include "harness.h"
#include "telemetry/endpoint.h"
#include "telemetry/header.h"
#include "telemetry/otlpenv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

START_TEST(endpoints_become_the_url_of_a_signal)
    {
        static const struct {
            struct endpoint_wish wish;
            const char *url; /* NULL: refused */
        } cases[] = {
            {{.text = NULL}, "http://localhost:4318/v1/traces"},
            {{.text = "", .grpc = true},
             "http://localhost:4317/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
            {{.text = NULL, .as_is = true}, "http://localhost:4318/v1/traces"},
            {{.text = "http://c", .signal = TELEMETRY_METRICS}, "http://c/v1/metrics"},
            {{.text = "HTTPS://c:1/", .signal = TELEMETRY_LOGS}, "https://c:1/v1/logs"},
            {{.text = "http://c:1/a/b///"}, "http://c:1/a/b/v1/traces"},
            {{.text = "http://c:1/a/b", .as_is = true}, "http://c:1/a/b"},
            {{.text = "http://c:1", .as_is = true}, "http://c:1/"},
            {{.text = "http://c:1?k=v", .as_is = true}, "http://c:1/?k=v"},
            {{.text = "c:1"}, "https://c:1/v1/traces"},
            {{.text = "c:1", .insecure = true}, "http://c:1/v1/traces"},
            {{.text = "c"}, "https://c:4318/v1/traces"},
            {{.text = "https://c:1", .insecure = true}, "https://c:1/v1/traces"},
            {{.text = "http://c:1", .insecure = false}, "http://c:1/v1/traces"},
            {{.text = "http://[::1]:4318"}, "http://[::1]:4318/v1/traces"},
            {{.text = "[::1]:4317", .grpc = true, .signal = TELEMETRY_METRICS},
             "https://[::1]:4317/"
             "opentelemetry.proto.collector.metrics.v1.MetricsService/Export"},
            {{.text = "http://c:1/ignored", .grpc = true, .signal = TELEMETRY_LOGS},
             "http://c:1/opentelemetry.proto.collector.logs.v1.LogsService/Export"},
            {{.text = "http://me:pw@c:1"}, "http://me:pw@c:1/v1/traces"},
            {{.text = "ftp://c"}, NULL},
            {{.text = "unix:///x"}, NULL},
            {{.text = "http://"}, NULL},
            {{.text = "http:///v1"}, NULL},
            {{.text = "://c"}, NULL},
            {{.text = "c:0"}, NULL},
            {{.text = "c:65536"}, NULL},
            {{.text = "c:"}, NULL},
            {{.text = "c:1x"}, NULL},
            {{.text = "c:99999999999"}, NULL},
            {{.text = "c:1/path"}, NULL},
            {{.text = "c d:1"}, NULL},
            {{.text = "http://c\r\nX: y"}, NULL},
            {{.text = "http://c\x01"}, NULL},
            {{.text = "http://c/\xc3\xa9"}, NULL},
            {{.text = "http://c:1/a#b"}, NULL},
            {{.text = "http://c:1/a?b"}, NULL},
            {{.text = "http://[::1"}, NULL},
            {{.text = "http://[]:1"}, NULL},
            {{.text = "http://[::1]x:1"}, NULL},
            {{.text = "http://[:]"}, NULL},
            {{.text = "http://[::1!]"}, NULL},
            {{.text = "httpx://c"}, NULL},
            {{.text = "http://c\x7f"}, NULL},
            {{.text = "http://<c>"}, NULL},
            {{.text = "http://!"}, NULL},
            {{.text = "c:123456"}, NULL},
            {{.text = "http://a@"}, NULL},
            {{.text = "http://a:b:1"}, NULL},
        };
        for (size_t i = 0; i < COUNT_OF(cases); i++) {
            auto_buf struct buf url = {0};
            srun_err err = {0};
            int rc = endpoint_url(&url, &cases[i].wish, &err);
            ck_assert_msg((rc == 0) == (cases[i].url != NULL), "%s: %s", cases[i].wish.text,
                          err.text);
            if (rc == 0)
                ck_assert_str_eq(url.data, cases[i].url);
            else
                ck_assert(rc == -EINVAL && err.text[0] != '\0');
        }
    }
END_TEST

START_TEST(an_endpoint_is_shown_without_its_secrets)
    {
        char shown[ENDPOINT_SHOWN_MAX];
        ck_assert_str_eq(endpoint_shown(shown, "https://me:p@w@c:1/v1/traces?key=x"),
                         "https://c:1/v1/traces");
        ck_assert_str_eq(endpoint_shown(shown, "http://c/a@b"), "http://c/a@b");
        ck_assert_str_eq(endpoint_shown(shown, "c"), "c");
    }
END_TEST

START_TEST(headers_that_could_forge_a_request_are_refused)
    {
        ck_assert_ptr_null(header_refused("api-key", "s3cret; a=b,\tc"));
        ck_assert_ptr_null(header_refused("X-Empty", ""));
        static const char *const bad[][2] = {
            {"", "v"},
            {"a b", "v"},
            {"a:", "v"},
            {"a\r\nb", "v"},
            {"k", "v\r\nX: y"},
            {"k", "v\n"},
            {"k", "v\x7f"},
            {"k", "\x01"},
            {"Host", "x"},
            {"CONTENT-LENGTH", "0"},
            {"Grpc-Timeout", "1S"},
            {"TE", "trailers"},
            {":path", "/x"},
            {"caf\xc3\xa9", "v"},
            {NULL, "v"},
            {"k", NULL},
        };
        for (size_t i = 0; i < COUNT_OF(bad); i++)
            ck_assert_msg(header_refused(bad[i][0], bad[i][1]) != NULL, "case %zu", i);
    }
END_TEST

struct world {
    const char *const *variables; /* name, value, ..., NULL */
    char warned[1024];
};

static const char *world_get(void *arg, const char *name)
{
    struct world *world = arg;
    for (const char *const *pair = world->variables; pair[0] != NULL; pair += 2) {
        if (strcmp(pair[0], name) == 0)
            return pair[1];
    }
    return NULL;
}

static void world_warn(void *arg, const char *name, const char *what)
{
    struct world *world = arg;
    size_t used = strlen(world->warned);
    snprintf(world->warned + used, sizeof world->warned - used, "%s %s\n", name, what);
}

#define P "OTEL_EXPORTER_OTLP_"
#define READ(signal, ...)                                                                          \
    struct world world = {(const char *const[]){__VA_ARGS__, NULL}, ""};                           \
    struct otlpenv env;                                                                            \
    struct telemetry_exporter_options options;                                                     \
    ck_assert_int_eq(otlpenv_read(&env, signal,                                                    \
                                  &(struct otlpenv_source){world_get, world_warn, &world,          \
                                                           OTLPENV_PROTOCOL_UNSET}),               \
                     0);                                                                           \
    otlpenv_options(&env, &options)

START_TEST(an_empty_environment_says_nothing)
    {
        READ(TELEMETRY_TRACES, P "ENDPOINT", "", P "TRACES_PROTOCOL", "", P "INSECURE", "");
        ck_assert_int_eq(options.protocol, TELEMETRY_HTTP);
        ck_assert(!options.endpoint_as_is && !options.insecure && !options.gzip);
        ck_assert(options.endpoint == NULL && options.headers == NULL);
        ck_assert(options.ca_file == NULL && options.cert_file == NULL && options.key_file == NULL);
        ck_assert_int_eq(options.timeout_ms, 0);
        ck_assert_str_eq(world.warned, "");
        otlpenv_free(&env);
    }
END_TEST

START_TEST(the_variable_of_a_signal_beats_the_general_one)
    {
        READ(TELEMETRY_METRICS, P "PROTOCOL", "grpc", P "METRICS_PROTOCOL", "HTTP/Protobuf",
             P "ENDPOINT", "http://all:1", P "METRICS_ENDPOINT", "http://mine:2/x",
             P "TRACES_ENDPOINT", "http://other:3", P "TIMEOUT", "5", P "METRICS_TIMEOUT", "2500",
             P "HEADERS", "a=1", P "METRICS_HEADERS", "b=2", P "CERTIFICATE", "/all.pem",
             P "COMPRESSION", "GZIP", P "METRICS_CLIENT_KEY", "/k", P "CLIENT_CERTIFICATE", "/c",
             P "INSECURE", "TRUE");
        ck_assert_int_eq(options.protocol, TELEMETRY_HTTP);
        ck_assert_str_eq(options.endpoint, "http://mine:2/x");
        ck_assert(options.endpoint_as_is && options.gzip && options.insecure);
        ck_assert_int_eq(options.timeout_ms, 2500);
        ck_assert_str_eq(options.headers[0], "b");
        ck_assert_str_eq(options.headers[1], "2");
        ck_assert_ptr_null(options.headers[2]);
        ck_assert_str_eq(options.ca_file, "/all.pem");
        ck_assert_str_eq(options.cert_file, "/c");
        ck_assert_str_eq(options.key_file, "/k");
        ck_assert_str_eq(world.warned, "");
        otlpenv_free(&env);
    }
END_TEST

START_TEST(what_is_wrong_is_warned_about_and_as_good_as_unset)
    {
        READ(TELEMETRY_TRACES, P "TRACES_PROTOCOL", "http/json", P "PROTOCOL", "grpc",
             P "TRACES_ENDPOINT", "ftp://x", P "ENDPOINT", "collector:4317", P "INSECURE", "1",
             P "COMPRESSION", "zstd", P "TRACES_TIMEOUT", "-1", P "TIMEOUT", "10s");
        ck_assert_int_eq(options.protocol, TELEMETRY_GRPC);
        ck_assert_str_eq(options.endpoint, "collector:4317");
        ck_assert(!options.endpoint_as_is && !options.gzip && !options.insecure);
        ck_assert_int_eq(options.timeout_ms, 0);
        ck_assert_str_eq(
            world.warned,
            P "TRACES_PROTOCOL http/json is not supported; http/protobuf and grpc are\n" P
              "TRACES_ENDPOINT is not an endpoint\n" P "INSECURE is not true or false\n" P
              "COMPRESSION is not gzip or none\n" P
              "TRACES_TIMEOUT is not a number of milliseconds\n" P
              "TIMEOUT is not a number of milliseconds\n");
        otlpenv_free(&env);
    }
END_TEST

START_TEST(what_is_the_default_may_be_said)
    {
        READ(TELEMETRY_TRACES, P "TRACES_PROTOCOL", "soap", P "INSECURE", "False", P "COMPRESSION",
             "None", P "TIMEOUT", "1234567890123456");
        ck_assert(!options.insecure && !options.gzip);
        ck_assert_int_eq(options.timeout_ms, 0);
        ck_assert_str_eq(world.warned, P "TRACES_PROTOCOL is not grpc or http/protobuf\n" P
                                         "TIMEOUT is not a number of milliseconds\n");
        otlpenv_free(&env);
    }
END_TEST

START_TEST(over_http_an_endpoint_is_a_url)
    {
        READ(TELEMETRY_LOGS, P "ENDPOINT", "collector:4318", P "TIMEOUT", "0");
        ck_assert_ptr_null(options.endpoint);
        ck_assert_int_eq(options.timeout_ms, -1);
        ck_assert_str_eq(world.warned, P "ENDPOINT is not a URL with http:// or https://\n");
        otlpenv_free(&env);
    }
END_TEST

START_TEST(headers_are_pairs_with_percent_encoded_values)
    {
        READ(
            TELEMETRY_TRACES, P "HEADERS",
            " api-key = s%20e%3Dcret , ,empty=,x=1=2,nopair,bad=%zz,nul=%00,cr=a%0d%0ab,te=x,ok=v");
        static const char *const wanted[] = {"api-key", "s e=cret", "empty", "",
                                             "x",       "1=2",      "ok",    "v"};
        for (size_t i = 0; i < COUNT_OF(wanted); i++)
            ck_assert_str_eq(options.headers[i], wanted[i]);
        ck_assert_ptr_null(options.headers[COUNT_OF(wanted)]);
        ck_assert_str_eq(world.warned,
                         P "HEADERS has parts that are no header, which are left out\n");
        otlpenv_free(&env);
    }
END_TEST

START_TEST(a_protocol_that_is_decided_is_not_asked_for)
    {
        struct world world = {
            (const char *const[]){P "PROTOCOL", "grpc", P "TRACES_ENDPOINT", "http://c:1/p", NULL},
            ""};
        struct otlpenv env;
        ck_assert_int_eq(
            otlpenv_read(&env, TELEMETRY_TRACES,
                         &(struct otlpenv_source){world_get, world_warn, &world, TELEMETRY_HTTP}),
            0);
        ck_assert(env.protocol == TELEMETRY_HTTP && env.endpoint_as_is);
        otlpenv_free(&env);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "otlpenv", endpoints_become_the_url_of_a_signal, an_endpoint_is_shown_without_its_secrets,
        headers_that_could_forge_a_request_are_refused, an_empty_environment_says_nothing,
        the_variable_of_a_signal_beats_the_general_one,
        what_is_wrong_is_warned_about_and_as_good_as_unset, what_is_the_default_may_be_said,
        over_http_an_endpoint_is_a_url, headers_are_pairs_with_percent_encoded_values,
        a_protocol_that_is_decided_is_not_asked_for);
}
