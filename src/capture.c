/* SPDX-License-Identifier: MIT */
#include "capture.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/thread.h"
#include "profile/folder.h"
#include "profile/kept.h"
#include "profile/trigger.h"
#include "profiling.h"
#include "runner.h"

#include <errno.h>
#include <limits.h>
#include <srun/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LAST_WORDS (5 * NS_PER_S) /* names may be read from much debug information */

/* Control's: a service whose limit runs. */
struct watched {
    bool waits;
    int64_t since;     /* when it came into its state */
    int64_t looked_ns; /* last, or TRIGGER_NEVER */
};

struct request {
    bool posted;
    char service[KEPT_SERVICE];
    char why[KEPT_WHY];
};

struct capture {
    srun_logger *log;
    const char *program;
    const char *folder; /* where files go; NULL: nowhere */
    bool served;        /* by the admin port */
    pthread_t thread;
    bool ended;
    int event; /* raised: what is being taken comes to its end */
    int64_t span_ns;
    struct trigger trigger; /* the thread's, with what follows */
    int folder_rc;          /* the last error of the folder, which is told once; 0: it works */

    int64_t hang_at, looked_ns; /* control's, with what watched has */
    struct watched *watched;    /* by service */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    bool closing;
    struct request request;
    struct kept kept;
};

/* --- the thread ------------------------------------------------------------------------------ */

/* Cut to fit: a name may be longer. */
static void copy_text(char *out, size_t size, const char *text)
{
    (void)snprintf(out, size, "%s", text);
}

static void tell_failure(const struct capture *capture, const struct kept_item *item,
                         const char *error)
{
    SRUN_WARN(capture->log, "nothing was captured", SRUN_STR("kind", item->cpu ? "cpu" : "stacks"),
              SRUN_STR("why", item->why), SRUN_STR("error", error));
}

/* file: its name, or "". */
static void tell_kept(const struct capture *capture, const struct kept_item *item, size_t size,
                      const char *file)
{
    enum { PARTS = 5 };
    char path[48], whole[PATH_MAX + FOLDER_NAME];
    struct srun_kv parts[PARTS + 1];
    const struct srun_source source = {.file = __FILE__, .function = __func__, .line = __LINE__};
    size_t count = 0;
    (void)snprintf(path, sizeof path, "/debug/captures/%llu", (unsigned long long)item->number);
    if (capture->served && item->number > 0) /* else it was too large to be kept in memory */
        parts[count++] = SRUN_STR("path", path);
    if (file[0] != '\0') {
        (void)snprintf(whole, sizeof whole, "%s/%s", capture->folder, file);
        parts[count++] = SRUN_STR("file", whole);
    }
    if (!item->cpu)
        parts[count++] = SRUN_STR("service", item->service);
    parts[count++] = SRUN_STR("why", item->why);
    parts[count++] = SRUN_UINT("bytes", size);
    parts[count] = SRUN_KV_END_;
    if (srun_log_enabled(capture->log, SRUN_LEVEL_WARN))
        srun_log_write(capture->log, SRUN_LEVEL_WARN, &source,
                       item->cpu ? "a CPU profile was captured"
                                 : "the stacks of all threads were captured",
                       parts);
}

/* The same error is told once, until it has worked again. */
static void tell_folder(struct capture *capture, int rc, const srun_err *err)
{
    if (rc < 0 && rc != capture->folder_rc)
        SRUN_WARN(capture->log, "captures are not written to files", SRUN_STR("error", err->text));
    capture->folder_rc = rc;
}

/* First to the disk: who ends the process waits for nothing else. */
static void keep(struct capture *capture, struct kept_item *item)
{
    char file[FOLDER_NAME] = "";
    size_t size = item->body.size;
    if (capture->folder != NULL) {
        srun_err err = {0};
        int rc = folder_keep(capture->folder, capture->program, item, file, &err);
        tell_folder(capture, rc, &err);
        if (rc < 0)
            file[0] = '\0';
    }
    pthread_mutex_lock(&capture->lock);
    int rc = kept_add(&capture->kept, item);
    pthread_mutex_unlock(&capture->lock);
    if (rc < 0 && file[0] == '\0')
        tell_failure(capture, item, srun_strerror(rc));
    else
        tell_kept(capture, item, size, file);
}

static void take_cpu(struct capture *capture, unsigned busy, int64_t span_ns)
{
    char span[DURATION_TEXT_MAX];
    srun_err err = {0};
    struct kept_item item = {.cpu = true, .time_ms = clock_wall_ms()};
    const struct admin_profile_ask ask = {.span_ns = capture->span_ns, .cancel_fd = capture->event};
    (void)duration_format(span, span_ns / NS_PER_MS * NS_PER_MS);
    (void)snprintf(item.why, sizeof item.why, "%u%% of a processor for %s", busy, span);
    if (profiling_keep_cpu(&ask, item.why, &item.body, &item.top, &err) == 0) {
        keep(capture, &item);
        return;
    }
    tell_failure(capture, &item, err.text);
    buf_free(&item.body);
    buf_free(&item.top);
}

/* It is not ended early: while the program stops it is what will tell why that takes so long. */
static void take_stacks(struct capture *capture, const struct request *request)
{
    srun_err err = {0};
    struct kept_item item = {.time_ms = clock_wall_ms()};
    copy_text(item.service, sizeof item.service, request->service);
    copy_text(item.why, sizeof item.why, request->why);
    buf_printf(&item.body, "service %s: %s\n\n", item.service, item.why);
    if (profiling_keep_threads(KEPT_EACH - 1, &item.body, &err) == 0) {
        keep(capture, &item);
        return;
    }
    tell_failure(capture, &item, err.text);
    buf_free(&item.body);
}

static void look_at_processor(struct capture *capture)
{
    unsigned busy = 0;
    if (trigger_sample(&capture->trigger, clock_real_now(), clock_processor_now(), &busy))
        take_cpu(capture, busy, capture->trigger.time_ns - capture->trigger.over_time_ns);
}

/* What to do next: the request is taken, or it is time to look at the processor; false: to end. */
static bool await(struct capture *capture, int64_t look_at, struct request *out)
{
    pthread_mutex_lock(&capture->lock);
    while (!capture->closing && !capture->request.posted &&
           thread_cond_wait_until(&capture->changed, &capture->lock, look_at))
        ;
    bool goes_on = !capture->closing || capture->request.posted; /* who hangs is seen in any case */
    *out = capture->request;
    capture->request.posted = false;
    if (!capture->closing)
        fd_event_lower(capture->event);
    pthread_mutex_unlock(&capture->lock);
    return goes_on;
}

static void *work(void *arg)
{
    struct capture *capture = arg;
    struct request request;
    thread_name_self("capture");
    if (capture->folder != NULL) {
        srun_err err = {0};
        tell_folder(capture, folder_check(capture->folder, &err), &err);
    }
    int64_t look_at = clock_real_now();
    while (await(capture, look_at, &request)) {
        if (request.posted)
            take_stacks(capture, &request);
        if (clock_real_now() < look_at)
            continue;
        look_at_processor(capture);
        look_at = clock_real_now() + trigger_interval(&capture->trigger);
    }
    return NULL;
}

/* --- its life -------------------------------------------------------------------------------- */

static struct capture *discard(struct capture *capture)
{
    kept_free(&capture->kept);
    if (capture->event >= 0)
        (void)close(capture->event);
    (void)pthread_cond_destroy(&capture->changed);
    (void)pthread_mutex_destroy(&capture->lock);
    free(capture->watched);
    free(capture);
    return NULL;
}

static int begin(struct capture *capture, const srun_runner *runner)
{
    const struct srun_config *value = &runner->config.value;
    trigger_init(&capture->trigger, (unsigned)value->profile.capture_cpu,
                 value->profile.capture_after_ms * NS_PER_MS);
    capture->log = runner->log;
    capture->program = value->name;
    capture->folder = value->profile.capture_directory;
    capture->served = value->admin.disabled == 0;
    capture->span_ns = value->profile.capture_for_ms * NS_PER_MS;
    capture->hang_at = SEQUENCE_NEVER;
    capture->looked_ns = TRIGGER_NEVER;
    capture->watched = calloc(runner->active_count + 1, sizeof capture->watched[0]);
    if (capture->watched == NULL)
        return -ENOMEM;
    for (unsigned i = 0; i < runner->active_count; i++)
        capture->watched[i].looked_ns = TRIGGER_NEVER;
    capture->event = fd_event_new();
    return capture->event < 0 ? capture->event : thread_start_deaf(&capture->thread, work, capture);
}

void capture_start(srun_runner *runner)
{
    const struct srun_config *value = &runner->config.value;
    if (value->profile.capture == 0 || runner->testing || runner->capture != NULL ||
        runner->active != runner->services)
        return; /* off; or a test; or of a start that failed later on */
    if (value->admin.disabled != 0 && value->profile.capture_directory == NULL) {
        SRUN_WARN(runner->log, "nothing is captured",
                  SRUN_STR("why", "without the admin port or a folder nobody could get it"));
        return;
    }
    struct capture *capture = calloc(1, sizeof *capture);
    int rc = -ENOMEM;
    if (capture != NULL) {
        (void)pthread_mutex_init(&capture->lock, NULL);
        (void)thread_cond_init(&capture->changed);
        capture->event = -1;
        rc = begin(capture, runner);
        if (rc < 0)
            capture = discard(capture);
    }
    runner->capture = capture;
    if (rc < 0)
        SRUN_WARN(runner->log, "nothing is captured", SRUN_CODE("why", rc));
}

bool capture_end(srun_runner *runner)
{
    struct capture *capture = runner->capture;
    if (capture == NULL || capture->ended)
        return true;
    pthread_mutex_lock(&capture->lock);
    capture->closing = true;
    fd_event_raise(capture->event);
    pthread_cond_broadcast(&capture->changed);
    pthread_mutex_unlock(&capture->lock);
    capture->ended = thread_join(capture->thread, LAST_WORDS) == 0;
    return capture->ended;
}

void capture_free(srun_runner *runner)
{
    if (runner->capture != NULL)
        runner->capture = discard(runner->capture);
}

/* --- who hangs ------------------------------------------------------------------------------- */

static int64_t hang_at(const srun_runner *runner, unsigned id)
{
    const struct watched *watched = &runner->capture->watched[id];
    return watched->waits ? trigger_hang_at(watched->since, sequence_deadline(runner->seq, id))
                          : SEQUENCE_NEVER;
}

void capture_state(srun_runner *runner, const struct service *service, srun_state state,
                   int64_t now)
{
    struct capture *capture = runner->capture;
    if (capture == NULL)
        return;
    struct watched *watched = &capture->watched[service->id];
    watched->since = now;
    watched->waits =
        state == SRUN_INITIATING || state == SRUN_STARTING || state == SRUN_SHUTTING_DOWN;
    int64_t at = hang_at(runner, service->id);
    if (at < capture->hang_at)
        capture->hang_at = at;
}

void capture_hang(srun_runner *runner, const struct service *service, const char *why, int64_t now)
{
    struct capture *capture = runner->capture;
    if (capture == NULL)
        return;
    struct watched *watched = &capture->watched[service->id];
    if (!trigger_hang(now, capture->looked_ns, watched->looked_ns))
        return;
    capture->looked_ns = watched->looked_ns = now;
    pthread_mutex_lock(&capture->lock);
    capture->request.posted = true;
    copy_text(capture->request.service, sizeof capture->request.service, service->name);
    copy_text(capture->request.why, sizeof capture->request.why, why);
    fd_event_raise(capture->event); /* a profile of processor time gives way */
    pthread_cond_broadcast(&capture->changed);
    pthread_mutex_unlock(&capture->lock);
}

static void look_at_late(srun_runner *runner, struct service *service, int64_t now)
{
    char why[KEPT_WHY], passed[DURATION_TEXT_MAX], limit[DURATION_TEXT_MAX];
    struct watched *watched = &runner->capture->watched[service->id];
    int64_t deadline = sequence_deadline(runner->seq, service->id);
    int tid = service_tid(service);
    watched->waits = false; /* once is enough, until it gets into another state */
    (void)duration_format(passed, (now - watched->since) / NS_PER_MS * NS_PER_MS);
    (void)duration_format(limit, (deadline - watched->since) / NS_PER_MS * NS_PER_MS);
    int length = snprintf(why, sizeof why, "%s takes %s of %s",
                          sequence_phase(runner->seq, service->id), passed, limit);
    if (tid > 0 && length > 0 && (size_t)length < sizeof why)
        (void)snprintf(why + length, sizeof why - (size_t)length, ", in thread %d", tid);
    capture_hang(runner, service, why, now);
}

void capture_turn(srun_runner *runner, int64_t now)
{
    struct capture *capture = runner->capture;
    if (capture == NULL || now < capture->hang_at)
        return;
    capture->hang_at = SEQUENCE_NEVER;
    for (unsigned i = 0; i < runner->active_count; i++) {
        int64_t at = hang_at(runner, i); /* which moves, when it asked for more time */
        if (at <= now)
            look_at_late(runner, runner->active[i], now);
        else if (at < capture->hang_at)
            capture->hang_at = at;
    }
}

int64_t capture_wake(const srun_runner *runner)
{
    return runner->capture != NULL ? runner->capture->hang_at : SEQUENCE_NEVER;
}

/* --- for the admin port ---------------------------------------------------------------------- */

static void describe(const struct kept_item *item, struct admin_capture *out)
{
    *out = (struct admin_capture){.number = item->number,
                                  .time_ms = item->time_ms,
                                  .cpu = item->cpu,
                                  .size = item->body.size};
    copy_text(out->service, sizeof out->service, item->service);
    copy_text(out->why, sizeof out->why, item->why);
}

size_t capture_list(srun_runner *runner, struct admin_capture *out, size_t capacity)
{
    struct capture *capture = runner->capture;
    if (capture == NULL)
        return 0;
    pthread_mutex_lock(&capture->lock);
    const struct kept *kept = &capture->kept;
    size_t count = kept->count < capacity ? kept->count : capacity;
    for (size_t i = 0; i < count; i++)
        describe(&kept->items[kept->count - count + i], &out[i]);
    pthread_mutex_unlock(&capture->lock);
    return count;
}

static int copy_locked(const struct kept *kept, uint64_t number, enum admin_form form,
                       struct admin_capture *about, struct buf *out)
{
    const struct kept_item *item = kept_find(kept, number);
    if (item == NULL)
        return -ENOENT;
    describe(item, about);
    bool table = item->cpu && form == ADMIN_TOP;
    if (form != (item->cpu ? ADMIN_PROTO : ADMIN_EACH) && !table)
        return -EINVAL;
    const struct buf *from = table ? &item->top : &item->body;
    buf_add(out, from->data, from->size);
    return out->failed ? -ENOMEM : 0;
}

int capture_get(srun_runner *runner, uint64_t number, enum admin_form form,
                struct admin_capture *about, struct buf *out)
{
    struct capture *capture = runner->capture;
    if (capture == NULL)
        return -ENOENT;
    pthread_mutex_lock(&capture->lock);
    int rc = copy_locked(&capture->kept, number, form, about, out);
    pthread_mutex_unlock(&capture->lock);
    return rc;
}
