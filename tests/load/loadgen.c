/* SPDX-License-Identifier: MIT
 *
 * The load of load.h as a program. SIGTERM and SIGINT end it early: it waits for the answers to
 * what was sent, and reports. Its status is 0 when it ran, whatever was lost; 1 when it could not
 * run; 2 for a usage error.
 *
 * --events prints, as they happen, one JSON object per line on standard output: "process" when a
 * process answers for the first time, "error" for each of the first 1000 errors; at_ns is of the
 * monotonic clock. The report comes last.
 */
#include "load.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ERROR_EVENTS_MAX 1000
#define SECONDS_MAX 3600

static const char usage[] =
    "usage: loadgen --address IP:PORT | --unix PATH [OPTION...]\n"
    "  --path PATH          of the request [/]\n"
    "  --mode new|keepalive a connection per request, or kept ones [keepalive]\n"
    "  --http10             HTTP/1.0\n"
    "  --clients N          [64]\n"
    "  --threads N          [1]\n"
    "  --rate N             requests per second, sent when due (open loop) [0: closed loop]\n"
    "  --seconds S          at most, up to 3600 [10]\n"
    "  --requests N         at most [no limit]\n"
    "  --at-least N         SIGTERM waits for so many [0]\n"
    "  --timeout S          of one request [5]\n"
    "  --events             tell processes and errors as they come\n"
    "  --json               the report as one JSON object\n";

static atomic_bool stop;

static void on_signal(int signo)
{
    (void)signo;
    atomic_store(&stop, true);
}

static int usage_error(const char *what)
{
    (void)fprintf(stderr, "loadgen: %s\n%s", what, usage);
    return 2;
}

/* --- events ----------------------------------------------------------------------------------- */

static void print_event(const char *text, int size)
{
    (void)!write(STDOUT_FILENO, text, (size_t)size); /* who closed it does not want to know */
}

static void on_process(void *user, int64_t at_ns, uint64_t pid, uint64_t generation)
{
    (void)user;
    char text[160];
    print_event(text, snprintf(text, sizeof text,
                               "{\"event\":\"process\",\"at_ns\":%" PRId64 ",\"pid\":%" PRIu64
                               ",\"generation\":%" PRIu64 "}\n",
                               at_ns, pid, generation));
}

static void on_error(void *user, int64_t at_ns, enum load_error error)
{
    (void)user;
    static atomic_int told;
    if (atomic_fetch_add(&told, 1) >= ERROR_EVENTS_MAX)
        return;
    char text[160];
    print_event(text, snprintf(text, sizeof text,
                               "{\"event\":\"error\",\"at_ns\":%" PRId64 ",\"kind\":\"%s\"}\n",
                               at_ns, load_error_name(error)));
}

/* --- report ----------------------------------------------------------------------------------- */

static double us(uint64_t ns)
{
    return (double)ns / 1e3;
}

static double seconds_of(const struct load_result *result)
{
    return (double)(result->ended_ns - result->started_ns) / 1e9;
}

static void print_json(const struct load_result *r)
{
    printf("{\"requests\":%" PRIu64 ",\"answers\":%" PRIu64 ",\"lost\":%" PRIu64 ",\"errors\":{",
           r->requests, r->answers, r->lost);
    for (enum load_error e = 0; e < LOAD_ERROR_COUNT; e++)
        printf("%s\"%s\":%" PRIu64, e > 0 ? "," : "", load_error_name(e), r->errors[e]);
    printf("},\"first_error\":\"%s\",\"malformed\":\"%s\",\"seconds\":%.3f,\"per_second\":%.0f",
           r->first_errno != 0 ? srun_strerror(-r->first_errno) : "", r->malformed, seconds_of(r),
           (double)r->answers / seconds_of(r));
    printf(",\"latency_us\":{\"mean\":%.1f", histogram_mean(&r->latency) / 1e3);
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++)
        printf(",\"%s\":%.1f", quantiles[i].name,
               us(histogram_quantile(&r->latency, quantiles[i].part)));
    printf("},\"longest_gap_us\":%.1f,\"connections\":%" PRIu64 ",\"told_to_close\":%" PRIu64
           ",\"idle_closed\":%" PRIu64 ",\"left_open\":%" PRIu64 ",\"connect_waits\":%" PRIu64,
           us((uint64_t)r->longest_gap_ns), r->connections, r->told_to_close, r->idle_closed,
           r->left_open, r->connect_waits);
    printf(",\"started_ns\":%" PRId64 ",\"ended_ns\":%" PRId64 ",\"other_answers\":%" PRIu64
           ",\"processes\":[",
           r->started_ns, r->ended_ns, r->other_answers);
    for (unsigned i = 0; i < r->process_count; i++) {
        const struct load_process *p = &r->processes[i];
        printf("%s{\"pid\":%" PRIu64 ",\"generation\":%" PRIu64 ",\"answers\":%" PRIu64
               ",\"first_ns\":%" PRId64 ",\"last_ns\":%" PRId64 "}",
               i > 0 ? "," : "", p->pid, p->generation, p->answers, p->first_ns, p->last_ns);
    }
    printf("]}\n");
}

static void print_text(const struct load_result *r)
{
    printf("%-16s %12" PRIu64 " in %.2f s, %.0f answers/s\n", "requests", r->requests,
           seconds_of(r), (double)r->answers / seconds_of(r));
    printf("%-16s %12" PRIu64 "\n", "lost", r->lost);
    for (enum load_error e = 0; e < LOAD_ERROR_COUNT; e++)
        if (r->errors[e] > 0)
            printf("  %-14s %12" PRIu64 "  %s\n", load_error_name(e), r->errors[e],
                   load_error_text(e));
    if (r->first_errno != 0)
        printf("  the first other error: %s\n", srun_strerror(-r->first_errno));
    if (r->malformed[0] != '\0')
        printf("  the first malformed response: %s\n", r->malformed);
    printf("%-16s p50 %.0f, p90 %.0f, p99 %.0f, p99.9 %.0f, max %.0f\n", "latency (us)",
           us(histogram_quantile(&r->latency, 0.5)), us(histogram_quantile(&r->latency, 0.9)),
           us(histogram_quantile(&r->latency, 0.99)), us(histogram_quantile(&r->latency, 0.999)),
           us(r->latency.max));
    printf("%-16s %12.1f ms\n", "longest gap", us((uint64_t)r->longest_gap_ns) / 1e3);
    printf("%-16s %12" PRIu64 "; told to close %" PRIu64 ", closed while idle %" PRIu64
           ", left open %" PRIu64 "\n",
           "connections", r->connections, r->told_to_close, r->idle_closed, r->left_open);
    for (unsigned i = 0; i < r->process_count; i++)
        printf("%-16s %12" PRIu64 " by pid %" PRIu64 ", generation %" PRIu64 "\n",
               i == 0 ? "answers" : "", r->processes[i].answers, r->processes[i].pid,
               r->processes[i].generation);
}

/* --- options ---------------------------------------------------------------------------------- */

enum option_key {
    ADDRESS = 1,
    UNIX_PATH,
    PATH,
    MODE,
    HTTP10,
    CLIENTS,
    THREADS,
    RATE,
    SECONDS,
    REQUESTS,
    AT_LEAST,
    TIMEOUT,
    EVENTS,
    JSON,
    HELP,
};

static const struct option options[] = {
    {"address", required_argument, NULL, ADDRESS},
    {"unix", required_argument, NULL, UNIX_PATH},
    {"path", required_argument, NULL, PATH},
    {"mode", required_argument, NULL, MODE},
    {"http10", no_argument, NULL, HTTP10},
    {"clients", required_argument, NULL, CLIENTS},
    {"threads", required_argument, NULL, THREADS},
    {"rate", required_argument, NULL, RATE},
    {"seconds", required_argument, NULL, SECONDS},
    {"requests", required_argument, NULL, REQUESTS},
    {"at-least", required_argument, NULL, AT_LEAST},
    {"timeout", required_argument, NULL, TIMEOUT},
    {"events", no_argument, NULL, EVENTS},
    {"json", no_argument, NULL, JSON},
    {"help", no_argument, NULL, HELP},
    {NULL, 0, NULL, 0},
};

/* Digits, with a fraction; at most max. */
static bool read_decimal(const char *text, double max, double *out)
{
    char *end = NULL;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && *out >= 0 && *out <= max &&
           text[strspn(text, "0123456789.")] == '\0';
}

static bool take_number(struct load_config *config, int key, const char *text)
{
    double number = 0;
    if (!read_decimal(text, 1e12, &number))
        return false;
    bool whole = number == (double)(uint64_t)number;
    switch (key) {
    case CLIENTS:
        config->clients = number <= LOAD_CLIENTS_MAX ? (unsigned)number : 0;
        return whole;
    case THREADS:
        config->threads = number <= LOAD_THREADS_MAX ? (unsigned)number : 0;
        return whole;
    case RATE:
        config->rate = number;
        return true;
    case SECONDS:
        config->duration_ns = (int64_t)(number * 1e9);
        return number > 0 && number <= SECONDS_MAX;
    case TIMEOUT:
        config->timeout_ns = (int64_t)(number * 1e9);
        return number > 0 && number <= SECONDS_MAX;
    case REQUESTS:
        config->requests = (uint64_t)number;
        return whole && number > 0;
    default:
        config->at_least = (uint64_t)number;
        return whole;
    }
}

static bool take_option(struct load_config *config, bool *json, int key, const char *text)
{
    switch (key) {
    case ADDRESS:
        config->address = text;
        return true;
    case UNIX_PATH:
        config->unix_path = text;
        return true;
    case PATH:
        config->path = text;
        return text[0] == '/' && strpbrk(text, " \r\n\t") == NULL;
    case MODE:
        config->reuse = strcmp(text, "keepalive") == 0;
        return config->reuse || strcmp(text, "new") == 0;
    case HTTP10:
        config->http10 = true;
        return true;
    case EVENTS:
        config->on_process = on_process;
        config->on_error = on_error;
        return true;
    case JSON:
        *json = true;
        return true;
    default:
        return take_number(config, key, text);
    }
}

/* 0, or the status to leave with, or -1 when help was asked for. */
static int take_options(struct load_config *config, bool *json, int argc, char **argv)
{
    int key = 0, index = 0;
    while ((key = getopt_long(argc, argv, "", options, &index)) != -1) {
        if (key == HELP)
            return -1;
        if (key == '?')
            return usage_error("see above");
        if (!take_option(config, json, key, optarg)) {
            char text[64];
            (void)snprintf(text, sizeof text, "--%s: this value is not accepted",
                           options[index].name);
            return usage_error(text);
        }
    }
    if (optind < argc)
        return usage_error("it takes options only");
    if ((config->address == NULL) == (config->unix_path == NULL))
        return usage_error("one of --address and --unix is needed");
    return 0;
}

int main(int argc, char **argv)
{
    struct load_config config = {
        .clients = 64,
        .threads = 1,
        .reuse = true,
        .stop = &stop,
        .duration_ns = INT64_C(10000000000),
        .timeout_ns = INT64_C(5000000000),
    };
    bool json = false;
    int status = take_options(&config, &json, argc, argv);
    if (status < 0)
        (void)fputs(usage, stdout);
    if (status != 0)
        return status < 0 ? 0 : status;

    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &action, NULL); /* neither can fail */
    (void)sigaction(SIGINT, &action, NULL);

    static struct load_result result;
    srun_err err = {0};
    if (load_run(&config, &result, &err) < 0)
        return srun_report(&err);
    if (json)
        print_json(&result);
    else
        print_text(&result);
    return fflush(stdout) == 0 ? 0 : 1;
}
