/* SPDX-License-Identifier: MIT
 *
 * Batches to requests to attempts. The transport does one attempt; what to do next is decided in
 * retry.c; here it is done, within the deadline.
 */
#include "telemetry/exporter.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/random.h"
#include "base/thread.h"
#include "telemetry/endpoint.h"
#include "telemetry/header.h"
#include "telemetry/late.h"
#include "telemetry/otlp.h"
#include "telemetry/retry.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#define MIB ((size_t)1024 * 1024)
#define REQUEST_MAX (64 * MIB)
#define REPLY_MAX (4 * MIB)
#define KEPT_MAX (4 * MIB) /* of the encoder's memory, between two calls */
#define TIMEOUT_MS 10000
#define LONGEST_PAUSE (300 * NS_PER_S) /* whatever a receiver asks for */
#define USER_AGENT "OTel-OTLP-Exporter-C/" SRUN_VERSION_TEXT

struct exporter {
    struct telemetry_exporter face;
    enum telemetry_signal signal;
    bool grpc;
    int64_t timeout_ns; /* INT64_MAX: none */
    size_t request_max;
    struct otlp_resource resource;
    struct buf body;
    struct transport *transport;
    pid_t owner;
    uint64_t random;
    int64_t not_before_ns; /* the receiver wants no request before */
    atomic_bool interrupted;
    bool busy;            /* a call is in flight. Under the lock */
    pthread_mutex_t lock; /* with woken: the pause between two attempts */
    pthread_cond_t woken;
};

/* A batch of any signal. */
struct batch {
    const void *first;
    size_t count, stride;
    void (*encode)(struct buf *out, const struct otlp_resource *resource, const void *first,
                   size_t count);
    size_t (*weigh)(const void *item);
};

static const void *batch_at(const struct batch *batch, size_t index)
{
    return (const char *)batch->first + index * batch->stride;
}

static size_t batch_weight(const struct batch *batch, size_t from, size_t count)
{
    size_t weight = 0;
    for (size_t i = from; i < from + count; i++)
        weight += batch->weigh(batch_at(batch, i));
    return weight;
}

/* --- one request -------------------------------------------------------------------------------
 */

/* False: interrupted. */
static bool pause_until(struct exporter *exporter, int64_t until_ns)
{
    pthread_mutex_lock(&exporter->lock);
    while (!atomic_load(&exporter->interrupted) && clock_real_now() < until_ns)
        (void)thread_cond_wait_until(&exporter->woken, &exporter->lock, until_ns);
    pthread_mutex_unlock(&exporter->lock);
    return !atomic_load(&exporter->interrupted);
}

static int64_t sum(int64_t time_ns, int64_t more_ns)
{
    int64_t result = 0;
    return __builtin_add_overflow(time_ns, more_ns, &result) ? INT64_MAX : result;
}

static void tell(struct telemetry_result *out, int code, const char *text)
{
    out->code = code;
    (void)snprintf(out->text, sizeof out->text, "%s", text);
}

#define NO_TIME "no time for another attempt: "
_Static_assert(sizeof NO_TIME + RETRY_TEXT_MAX <= sizeof((struct telemetry_result *)0)->text,
               "a text could be cut");

/* Waits out a pause. False: there is no time for it, or it was interrupted. */
static bool paused(struct exporter *exporter, int64_t until_ns, int64_t deadline_ns,
                   struct telemetry_result *out, const char *why)
{
    char text[sizeof out->text];
    if (until_ns >= deadline_ns) {
        (void)snprintf(text, sizeof text, NO_TIME "%s", why);
        tell(out, -ETIMEDOUT, text);
        return false;
    }
    if (!pause_until(exporter, until_ns)) {
        tell(out, -ECANCELED, "interrupted");
        return false;
    }
    return true;
}

static void done(const struct retry_answer *answer, size_t weight, struct telemetry_result *out)
{
    size_t rejected = answer->rejected < weight ? (size_t)answer->rejected : weight;
    out->accepted += weight - rejected;
    out->rejected += rejected;
    if (answer->text[0] != '\0' && out->code == 0)
        tell(out, 0, answer->text);
}

/* One attempt. True: another one is due. */
static bool attempt(struct exporter *exporter, size_t weight, int64_t deadline_ns,
                    struct retry_answer *answer, struct telemetry_result *out)
{
    struct transport_reply reply = {.grpc_status = -1};
    exporter->transport->attempt(exporter->transport, deadline_ns, &reply);
    out->attempts++;
    retry_judge(&reply, exporter->grpc, clock_wall_ms() / 1000, answer);
    if (answer->verdict == RETRY_AGAIN)
        return true;
    if (answer->verdict == RETRY_DONE) {
        done(answer, weight, out);
        return false;
    }
    if (reply.code == 0)
        out->rejected += weight;
    else
        out->lost += weight;
    tell(out, answer->code, answer->text);
    return false;
}

/* Sends what the body holds. False: the rest of the batch needs not be tried. */
static bool deliver(struct exporter *exporter, size_t weight, int64_t deadline_ns,
                    struct telemetry_result *out)
{
    struct retry_answer answer = {.after_ns = -1};
    int64_t until_ns = exporter->not_before_ns;
    const char *why = "the receiver asked for a pause";
    int rc =
        exporter->transport->load(exporter->transport, exporter->body.data, exporter->body.size);
    if (rc < 0) {
        out->lost += weight;
        tell(out, rc, srun_strerror(rc));
        return false;
    }
    for (unsigned number = 1;; number++) {
        if (!paused(exporter, until_ns, deadline_ns, out, why)) {
            out->lost += weight;
            return false;
        }
        if (!attempt(exporter, weight, deadline_ns, &answer, out))
            return answer.code != -ETIMEDOUT && answer.code != -ECANCELED;
        int64_t wait =
            retry_wait_ns(number, answer.after_ns, (uint32_t)random_next(&exporter->random));
        int64_t now = clock_real_now();
        until_ns = sum(now, wait);
        if (answer.after_ns >= 0)
            exporter->not_before_ns = sum(now, wait < LONGEST_PAUSE ? wait : LONGEST_PAUSE);
        why = answer.text;
    }
}

/* --- a batch -----------------------------------------------------------------------------------
 */

/* Forked without exec: threads and connections are the parent's. */
static bool is_ours(const struct exporter *exporter)
{
    return getpid() == exporter->owner;
}

static bool encode(struct exporter *exporter, const struct batch *batch, size_t from, size_t count)
{
    if (exporter->body.failed)
        buf_free(&exporter->body);
    exporter->body.size = 0;
    batch->encode(&exporter->body, &exporter->resource, batch_at(batch, from), count);
    return !exporter->body.failed;
}

/* All of it, in as many requests as their size demands. */
static void send_batch(struct exporter *exporter, const struct batch *batch, int64_t deadline_ns,
                       struct telemetry_result *out)
{
    size_t chunk = batch->count;
    bool going = true;
    for (size_t at = 0; at < batch->count;) {
        size_t count = chunk < batch->count - at ? chunk : batch->count - at;
        size_t weight = batch_weight(batch, at, count);
        if (!going) {
            out->lost += weight;
        } else if (!encode(exporter, batch, at, count)) {
            out->lost += weight;
            tell(out, -ENOMEM, "out of memory");
        } else if (exporter->body.size > exporter->request_max && count > 1) {
            chunk = (count + 1) / 2;
            continue;
        } else if (exporter->body.size > exporter->request_max) {
            out->lost += weight;
            tell(out, -EMSGSIZE, "too big for one request");
            chunk = batch->count; /* it was this one that did not fit */
        } else {
            going = deliver(exporter, weight, deadline_ns, out);
        }
        at += count;
    }
}

static void set_busy(struct exporter *exporter, bool busy)
{
    pthread_mutex_lock(&exporter->lock);
    exporter->busy = busy;
    atomic_store(&exporter->interrupted, false);
    pthread_mutex_unlock(&exporter->lock);
}

static void export_batch(struct telemetry_exporter *face, const struct batch *batch,
                         int64_t deadline_ns, struct telemetry_result *out)
{
    struct exporter *exporter = (struct exporter *)face;
    *out = (struct telemetry_result){0};
    if (!is_ours(exporter)) {
        out->lost = batch_weight(batch, 0, batch->count);
        tell(out, SRUN_EFORK, srun_strerror(SRUN_EFORK));
        return;
    }
    int64_t own = sum(clock_real_now(), exporter->timeout_ns);
    set_busy(exporter, true);
    send_batch(exporter, batch, own < deadline_ns ? own : deadline_ns, out);
    if (exporter->body.capacity > KEPT_MAX)
        buf_free(&exporter->body);
    set_busy(exporter, false);
}

static size_t weigh_one(const void *item)
{
    (void)item;
    return 1;
}

static size_t weigh_metric(const void *item)
{
    return ((const struct telemetry_metric *)item)->point_count;
}

static void encode_spans(struct buf *out, const struct otlp_resource *resource, const void *first,
                         size_t count)
{
    otlp_spans(out, resource, first, count);
}

static void encode_metrics(struct buf *out, const struct otlp_resource *resource, const void *first,
                           size_t count)
{
    otlp_metrics(out, resource, first, count);
}

static void encode_logs(struct buf *out, const struct otlp_resource *resource, const void *first,
                        size_t count)
{
    otlp_logs(out, resource, first, count);
}

static void export_spans(struct telemetry_exporter *face, const struct telemetry_span *spans,
                         size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    struct batch batch = {spans, count, sizeof *spans, encode_spans, weigh_one};
    export_batch(face, &batch, deadline_ns, out);
}

static void export_metrics(struct telemetry_exporter *face, const struct telemetry_metric *metrics,
                           size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    struct batch batch = {metrics, count, sizeof *metrics, encode_metrics, weigh_metric};
    export_batch(face, &batch, deadline_ns, out);
}

static void export_logs(struct telemetry_exporter *face, const struct telemetry_log *logs,
                        size_t count, int64_t deadline_ns, struct telemetry_result *out)
{
    struct batch batch = {logs, count, sizeof *logs, encode_logs, weigh_one};
    export_batch(face, &batch, deadline_ns, out);
}

/* --- its life ----------------------------------------------------------------------------------
 */

static void interrupt(struct telemetry_exporter *face)
{
    struct exporter *exporter = (struct exporter *)face;
    if (!is_ours(exporter))
        return;
    pthread_mutex_lock(&exporter->lock);
    if (exporter->busy) {
        atomic_store(&exporter->interrupted, true);
        pthread_cond_broadcast(&exporter->woken);
        exporter->transport->wake(exporter->transport);
    }
    pthread_mutex_unlock(&exporter->lock);
}

static void destroy(struct telemetry_exporter *face)
{
    struct exporter *exporter = (struct exporter *)face;
    if (exporter->transport != NULL && is_ours(exporter))
        exporter->transport->free(exporter->transport);
    otlp_resource_free(&exporter->resource);
    buf_free(&exporter->body);
    pthread_cond_destroy(&exporter->woken);
    pthread_mutex_destroy(&exporter->lock);
    free(exporter);
}

static void auto_exporter_cleanup(struct exporter **exporter)
{
    if (*exporter != NULL)
        destroy(&(*exporter)->face);
}

static struct exporter *exporter_new(enum telemetry_signal signal,
                                     const struct telemetry_exporter_options *options)
{
    struct exporter *exporter = calloc(1, sizeof *exporter);
    if (exporter == NULL)
        return NULL;
    if (thread_cond_init(&exporter->woken) < 0) {
        free(exporter);
        return NULL;
    }
    pthread_mutex_init(&exporter->lock, NULL);
    exporter->face = (struct telemetry_exporter){
        .spans = export_spans,
        .metrics = export_metrics,
        .logs = export_logs,
        .interrupt = interrupt,
        .free = destroy,
    };
    int64_t timeout_ms = options->timeout_ms == 0 ? TIMEOUT_MS : options->timeout_ms;
    exporter->signal = signal;
    exporter->grpc = options->protocol == TELEMETRY_GRPC;
    exporter->timeout_ns =
        timeout_ms > 0 && timeout_ms < INT64_MAX / NS_PER_MS ? timeout_ms * NS_PER_MS : INT64_MAX;
    exporter->request_max = options->request_max > 0 ? options->request_max : REQUEST_MAX;
    exporter->owner = getpid();
    if (getrandom(&exporter->random, sizeof exporter->random, GRND_NONBLOCK) < 0)
        exporter->random = (uint64_t)clock_real_now(); /* it only spreads the attempts */
    return exporter;
}

static int check_headers(const char *const *headers, srun_err *err)
{
    for (const char *const *pair = headers; pair != NULL && pair[0] != NULL; pair += 2) {
        const char *why = header_refused(pair[0], pair[1]);
        if (why != NULL)
            return srun_fail(err, -EINVAL, "%s", why);
    }
    return 0;
}

static bool given(const char *path)
{
    return path != NULL && path[0] != '\0';
}

static int check_files(const struct telemetry_exporter_options *options, srun_err *err)
{
    const char *const paths[] = {options->ca_file, options->cert_file, options->key_file};
    if (given(options->cert_file) != given(options->key_file))
        return srun_fail(err, -EINVAL, "a client's certificate needs its key, and a key it");
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (given(paths[i]) && access(paths[i], R_OK) < 0)
            return srun_fail(err, -errno, "%s: %m", paths[i]);
    return 0;
}

static int open_transport(struct exporter *exporter,
                          const struct telemetry_exporter_options *options, srun_err *err)
{
    auto_buf struct buf url = {0};
    char text[200] = "", shown[ENDPOINT_SHOWN_MAX];
    struct endpoint_wish wish = {exporter->signal, exporter->grpc, options->endpoint,
                                 options->endpoint_as_is, options->insecure};
    int rc = endpoint_url(&url, &wish, err);
    if (rc < 0)
        return rc;
    struct transport_options wanted = {
        .url = url.data,
        .grpc = exporter->grpc,
        .gzip = options->gzip,
        .headers = options->headers,
        .user_agent = USER_AGENT,
        .ca_file = options->ca_file,
        .cert_file = options->cert_file,
        .key_file = options->key_file,
        .reply_max = options->reply_max > 0 ? options->reply_max : REPLY_MAX,
        .interrupted = &exporter->interrupted,
    };
    if (options->transport == NULL)
        return late_open(&wanted, options->plugin, &exporter->transport, err);
    rc = options->transport->open(&wanted, &exporter->transport, text, sizeof text);
    return rc < 0 ? srun_fail(err, rc, "%s: %s", endpoint_shown(shown, url.data), text) : 0;
}

int telemetry_exporter_open(enum telemetry_signal signal,
                            const struct telemetry_exporter_options *options,
                            struct telemetry_exporter **out, srun_err *err)
{
    __attribute__((cleanup(auto_exporter_cleanup))) struct exporter *exporter =
        exporter_new(signal, options);
    if (exporter == NULL)
        return srun_fail(err, -ENOMEM, "exporter: out of memory");
    otlp_resource(&exporter->resource, options->resource);
    if (exporter->resource.resource.failed || exporter->resource.schema_url.failed)
        return srun_fail(err, -ENOMEM, "exporter: out of memory");
    int rc = check_headers(options->headers, err);
    rc = rc < 0 ? rc : check_files(options, err);
    if (rc == 0)
        rc = open_transport(exporter, options, err);
    if (rc < 0)
        return rc;
    *out = &take_ptr(exporter)->face;
    return 0;
}
