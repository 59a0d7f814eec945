/* SPDX-License-Identifier: MIT
 *
 * Services whose health is told by the test: what their checks answer and how long that takes, what
 * they hear of others, and when they fail. On the stage of cast.h; nothing here asserts what the
 * library should do, but that no check runs beside stop or beside another.
 */
#ifndef TESTS_UNIT_CLINIC_H
#define TESTS_UNIT_CLINIC_H

#include "cast.h"

#include <dirent.h>
#include <poll.h>
#include <srun/health.h>
#include <sys/eventfd.h>

enum { CHECKS_KEPT = 512, HEARD_KEPT = 256 };

struct patient {
    const char *name;
    const char *note;                              /* said by a check that does not answer 0 */
    struct gate *gate;                             /* where checks wait while blocked */
    struct gate *ear_gate;                         /* where on_health waits */
    bool hears;                                    /* has on_health */
    bool without_check, without_stop, mute, alone; /* mute: never ready; alone: the check only */
    atomic_int answer, hear_answer;
    atomic_bool blocked, hung; /* hung: a check never returns */
    atomic_llong takes_ms;     /* a check sleeps for so long on the clock of the test */

    srun_context *_Atomic ctx;
    atomic_int checks, checks_done, stops, lives, mistakes, hears_now, heard_count;
    atomic_bool inited;
    int64_t checked_at[CHECKS_KEPT];
    struct srun_health heard[HEARD_KEPT];
    struct stage *stage;
    int kick; /* makes run fail */
};

/* Waits for it, with a limit in real time. */
#define WAIT_FOR(truth)                                                                            \
    do {                                                                                           \
        int64_t end_ = harness_now_ms() + REAL_LIMIT_MS;                                           \
        while (!(truth) && harness_now_ms() < end_)                                                \
            (void)usleep(200);                                                                     \
        if (!(truth))                                                                              \
            ck_abort_msg("does not come: %s", #truth);                                             \
    } while (0)

static inline int patient_init(void *self, srun_context *ctx, srun_err *err)
{
    struct patient *patient = self;
    (void)err;
    atomic_store(&patient->ctx, ctx);
    atomic_store(&patient->inited, true);
    trace_add(&patient->stage->trace, patient->name, "init");
    return 0;
}

static inline int patient_run(void *self, srun_context *ctx, srun_err *err)
{
    struct patient *patient = self;
    struct pollfd wait[] = {{.fd = srun_cancel_fd(ctx), .events = POLLIN},
                            {.fd = patient->kick, .events = POLLIN}};
    uint64_t kicks;
    atomic_fetch_add(&patient->lives, 1);
    if (!patient->mute)
        (void)srun_ready(ctx);
    while (poll(wait, 2, -1) < 0)
        ;
    if (wait[0].revents != 0)
        return 0;
    (void)!read(patient->kick, &kicks, sizeof kicks);
    atomic_store(&patient->inited, false);
    return srun_fail(err, -EIO, "%s fell over", patient->name);
}

static inline int patient_stop(void *self, srun_context *ctx, srun_err *err)
{
    struct patient *patient = self;
    (void)ctx, (void)err;
    if (atomic_load(&patient->checks) != atomic_load(&patient->checks_done) ||
        atomic_load(&patient->hears_now) > 0)
        atomic_fetch_add(&patient->mistakes, 1);
    trace_add(&patient->stage->trace, patient->name, "stop");
    atomic_fetch_add(&patient->stops, 1);
    return 0;
}

static inline int patient_health(void *self, srun_context *ctx, srun_err *err)
{
    struct patient *patient = self;
    bool inited = patient->alone || atomic_load(&patient->inited); /* first: who counts may kick */
    int n = atomic_fetch_add(&patient->checks, 1);
    if (n != atomic_load(&patient->checks_done) || !inited)
        atomic_fetch_add(&patient->mistakes, 1);
    if (n < CHECKS_KEPT)
        patient->checked_at[n] = srun_test_now_ms(patient->stage->test);
    if (atomic_load(&patient->blocked))
        gate_pass(patient->gate);
    while (atomic_load(&patient->hung))
        (void)poll(NULL, 0, -1);
    if (atomic_load(&patient->takes_ms) > 0)
        (void)srun_sleep_ms(ctx, atomic_load(&patient->takes_ms));
    int answer = atomic_load(&patient->answer);
    if (answer != 0 && patient->note != NULL)
        (void)srun_fail(err, -EIO, "%s", patient->note);
    atomic_fetch_add(&patient->checks_done, 1);
    return answer;
}

static inline int patient_hear(void *self, srun_context *ctx, const struct srun_health *health,
                               srun_err *err)
{
    struct patient *patient = self;
    int state = srun_runner_state(srun_context_runner(ctx), patient->name);
    if (atomic_fetch_add(&patient->hears_now, 1) > 0 ||
        (state != SRUN_RUNNING && state != SRUN_SHUTTING_DOWN)) /* it may have to stop just now */
        atomic_fetch_add(&patient->mistakes, 1);
    int n = atomic_load(&patient->heard_count);
    if (n < HEARD_KEPT)
        patient->heard[n] = *health;
    atomic_fetch_add(&patient->heard_count, 1);
    if (patient->ear_gate != NULL)
        gate_pass(patient->ear_gate);
    int answer = atomic_load(&patient->hear_answer);
    atomic_fetch_sub(&patient->hears_now, 1);
    return answer < 0 ? srun_fail(err, answer, "%s will not hear it", patient->name) : 0;
}

static inline void patient_add(struct stage *stage, struct patient *patient,
                               const struct srun_service_options *options)
{
    srun_err err = {0};
    const struct srun_service_ops ops = {
        .size = sizeof ops,
        .init = patient->alone ? NULL : patient_init,
        .run = patient->alone ? NULL : patient_run,
        .stop = patient->alone || patient->without_stop ? NULL : patient_stop,
        .health = patient->without_check ? NULL : patient_health,
        .on_health = patient->hears ? patient_hear : NULL};
    patient->stage = stage;
    patient->kick = eventfd(0, EFD_CLOEXEC);
    ck_assert_int_ge(patient->kick, 0);
    int rc = srun_runner_add(stage->runner, patient->name, &ops, patient, options, &err);
    ck_assert_msg(rc == 0, "%s", err.text);
}

static inline void patient_fail(const struct patient *patient)
{
    const uint64_t one = 1;
    ck_assert_int_eq(write(patient->kick, &one, sizeof one), sizeof one);
}

/* Afterwards: it made no mistake. */
static inline void patient_done(struct patient *patient)
{
    (void)close(patient->kick);
    ck_assert_msg(atomic_load(&patient->mistakes) == 0,
                  "%s was checked, stopped or told of others at the wrong time", patient->name);
}

/* A stage on which health is on. */
static inline void clinic_open(struct stage *stage)
{
    stage_open(stage, SRUN_CONFIG(.health = {.enabled = 1}));
}

static inline void clinic_start(struct stage *stage, const char *last)
{
    stage_start(stage);
    stage_wait(stage, last, SRUN_RUNNING);
    srun_test_advance_ms(stage->test, 0);
}

static inline struct srun_health clinic_look(const struct stage *stage, const char *name)
{
    struct srun_health health;
    ck_assert_int_eq(srun_runner_health(stage->runner, name, &health), 0);
    ck_assert_str_eq(health.service, name);
    return health;
}

/* What has been said so far has been heard. */
static inline void clinic_settle(const struct stage *stage)
{
    srun_test_advance_ms(stage->test, 0);
}

static inline void assert_health(const struct stage *stage, const char *name,
                                 srun_health_status status, srun_health_source source)
{
    struct srun_health health = clinic_look(stage, name);
    ck_assert_msg(health.status == status && health.source == source, "%s is %s (%s), not %s (%s)",
                  name, srun_health_status_name(health.status),
                  srun_health_source_name(health.source), srun_health_status_name(status),
                  srun_health_source_name(source));
}

static inline void clinic_push(const struct patient *patient, srun_health_status status,
                               const char *note)
{
    ck_assert_int_eq(srun_health_push(atomic_load(&patient->ctx), status, note), 0);
    clinic_settle(patient->stage);
}

/* Those of the library: a sanitizer has some of its own. */
static inline unsigned count_threads(void)
{
    unsigned count = 0;
    DIR *folder = opendir("/proc/self/task");
    ck_assert_ptr_nonnull(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char path[300], name[16] = "";
        (void)snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        FILE *file = fopen(path, "re");
        if (file == NULL)
            continue;
        count += fgets(name, sizeof name, file) != NULL && strncmp(name, "srun:", 5) == 0;
        (void)fclose(file);
    }
    (void)closedir(folder);
    return count;
}

#endif
