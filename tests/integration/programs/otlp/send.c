/* SPDX-License-Identifier: MIT
 *
 * An exporter that does what it is told: `otlp_send SIGNAL PROTOCOL ENDPOINT [KEY=VALUE...]`, then
 * one command a line on stdin:
 *
 *     export COUNT DEADLINE_MS     sends so many items, in a thread; prints the result as JSON
 *     wait                         until the export has ended
 *     interrupt                    of the export in flight
 *     fork                         the same export in a forked child
 *
 * At the end of stdin it frees the exporter, and prints how long that took, without what it waited
 * for a processor.
 */
#include "base/buf.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/json.h"
#include "batch.h"
#include "telemetry/exporter.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADERS_MAX 9 /* pairs, and the end */

static struct telemetry_exporter *exporter;
static enum telemetry_signal wanted;
static uint64_t next_number = 1;
static size_t count;
static long deadline_ms;
static pthread_t worker;
static bool working;

static void print(struct json *json)
{
    json_close(json);
    puts(json->out->data);
    fflush(stdout);
    buf_free(json->out);
}

/* How long this thread had to wait for a processor, so that a test can tell who is late: we, or a
 * busy machine. 0 where the kernel does not say. */
static int64_t starved_ns(void)
{
    long long ran = 0, waited = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file == NULL)
        return 0;
    int found = fscanf(file, "%lld %lld", &ran, &waited);
    (void)fclose(file);
    return found == 2 ? waited : 0;
}

static void *work(void *arg)
{
    struct telemetry_result result;
    struct buf buf = {0};
    struct json json = {.out = &buf};
    int64_t starved = starved_ns(), begin = clock_real_now();
    (void)arg;
    batch_export(exporter, wanted, count, &next_number, begin + deadline_ms * NS_PER_MS, &result);
    json_open(&json, NULL, '{');
    json_int(&json, "accepted", (int64_t)result.accepted);
    json_int(&json, "rejected", (int64_t)result.rejected);
    json_int(&json, "lost", (int64_t)result.lost);
    json_int(&json, "attempts", result.attempts);
    json_int(&json, "code", result.code);
    json_str(&json, "text", result.text);
    json_int(&json, "took_ms", (clock_real_now() - begin) / NS_PER_MS);
    json_int(&json, "starved_ms", (starved_ns() - starved) / NS_PER_MS);
    print(&json);
    return NULL;
}

static void finish(void)
{
    if (working)
        pthread_join(worker, NULL);
    working = false;
}

static void command(const char *line)
{
    size_t items = 0;
    long ms = 0;
    if (sscanf(line, "export %zu %ld", &items, &ms) == 2) {
        finish();
        count = items;
        deadline_ms = ms;
        working = pthread_create(&worker, NULL, work, NULL) == 0;
    } else if (strncmp(line, "wait", 4) == 0) {
        finish();
    } else if (strncmp(line, "interrupt", 9) == 0) {
        exporter->interrupt(exporter);
    } else if (strncmp(line, "fork", 4) == 0) {
        finish();
        pid_t child = fork();
        if (child == 0) {
            work(NULL);
            exporter->interrupt(exporter);
            exporter->free(exporter);
            _exit(0);
        }
        (void)waitpid(child, NULL, 0);
    }
}

static bool option(struct telemetry_exporter_options *options, const char **headers, char *text)
{
    char *value = strchr(text, '=');
    if (value == NULL)
        return false;
    *value++ = '\0';
#define IS(name) (strcmp(text, name) == 0)
    if (IS("insecure"))
        options->insecure = value[0] == '1';
    else if (IS("gzip"))
        options->gzip = value[0] == '1';
    else if (IS("as_is"))
        options->endpoint_as_is = value[0] == '1';
    else if (IS("timeout_ms"))
        options->timeout_ms = atol(value);
    else if (IS("request_max"))
        options->request_max = (size_t)atol(value);
    else if (IS("reply_max"))
        options->reply_max = (size_t)atol(value);
    else if (IS("ca"))
        options->ca_file = value;
    else if (IS("cert"))
        options->cert_file = value;
    else if (IS("key"))
        options->key_file = value;
    else if (IS("plugin"))
        options->plugin = value;
    else if (text[0] == '@') {
        size_t at = 0;
        while (headers[at] != NULL)
            at += 2;
        if (at + 2 >= HEADERS_MAX)
            return false;
        headers[at] = text + 1;
        headers[at + 1] = value;
        options->headers = headers;
    } else
        return false;
#undef IS
    return true;
}

static int make(int argc, char **argv)
{
    static const char *headers[HEADERS_MAX];
    static const char *const names[] = {"traces", "metrics", "logs"};
    struct telemetry_exporter_options options = {.resource = &batch_resource};
    srun_err err = {0};
    for (int i = 0; i < TELEMETRY_SIGNALS; i++) {
        if (strcmp(argv[1], names[i]) == 0)
            wanted = (enum telemetry_signal)i;
    }
    options.protocol = strcmp(argv[2], "grpc") == 0 ? TELEMETRY_GRPC : TELEMETRY_HTTP;
    options.endpoint = argv[3];
    options.plugin = getenv("OTLP_PLUGIN");
    for (int i = 4; i < argc; i++) {
        if (!option(&options, headers, argv[i])) {
            fprintf(stderr, "otlp_send: what is %s?\n", argv[i]);
            return 2;
        }
    }
    return telemetry_exporter_open(wanted, &options, &exporter, &err) < 0 ? srun_report(&err) : 0;
}

int main(int argc, char **argv)
{
    char line[128];
    struct buf buf = {0};
    struct json json = {.out = &buf};
    if (argc < 4)
        return 2;
    int rc = make(argc, argv);
    if (rc != 0)
        return rc;
    while (fgets(line, sizeof line, stdin) != NULL)
        command(line);
    finish();
    int64_t starved = starved_ns(), begin = clock_real_now();
    exporter->free(exporter);
    int64_t end = clock_real_now();
    json_open(&json, NULL, '{');
    json_int(&json, "free_ms", (end - begin - (starved_ns() - starved)) / NS_PER_MS);
    print(&json);
    return 0;
}
