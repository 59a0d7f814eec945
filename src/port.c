/* SPDX-License-Identifier: MIT */
#include "port.h"

#include "admin/admin.h"
#include "capture.h"
#include "fork.h"
#include "instruments.h"
#include "knobs.h"
#include "profiling.h"
#include "tapping.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* --- what the port may see ------------------------------------------------------------------- */

static bool describe_setting(const srun_runner *runner, size_t index, struct admin_setting *out)
{
    static const char *const origins[] = {[CONFIG_DEFAULT] = "default",
                                          [CONFIG_CODE] = "code",
                                          [CONFIG_FILE] = "file",
                                          [CONFIG_ENVIRONMENT] = "environment"};
    char text[KNOB_TEXT_MAX];
    size_t count = 0;
    const struct knob *knobs = knobs_all(&count);
    if (index >= count)
        return false;
    const struct knob *knob = &knobs[index];
    unsigned origin = runner->config.origins[index];
    *out = (struct admin_setting){.group = knob->group,
                                  .key = knob->key,
                                  .variable = knob->variable,
                                  .origin = origins[origin]};
    bool unset = knob_is_text(knob) && origin == CONFIG_DEFAULT;
    if (!unset)
        (void)snprintf(out->value, sizeof out->value, "%s", knob_text(knob, &runner->config, text));
    if (!knob_is_text(knob))
        (void)snprintf(out->fallback, sizeof out->fallback, "%s", knob_default(knob, text));
    return true;
}

static bool describe_flag(const srun_runner *runner, size_t index, struct admin_flag *out)
{
    struct flags_use use;
    if (!flags_describe(runner->flags, index, &use))
        return false;
    *out = (struct admin_flag){.name = use.name, .given = use.given};
    memcpy(out->value, use.value, sizeof out->value);
    return true;
}

static size_t copy_timeline(srun_runner *runner, struct srun_transition *out, size_t capacity)
{
    pthread_mutex_lock(&runner->lock);
    size_t count =
        runner->transitions < RUNNER_TIMELINE ? (size_t)runner->transitions : RUNNER_TIMELINE;
    if (count > capacity)
        count = capacity;
    for (size_t i = 0; i < count; i++)
        out[i] = runner->timeline[(runner->transitions - count + i) % RUNNER_TIMELINE];
    pthread_mutex_unlock(&runner->lock);
    return count;
}

/* --- making ---------------------------------------------------------------------------------- */

static int make(srun_runner *runner)
{
    const struct admin_host host = {.runner = runner,
                                    .config = &runner->config.value,
                                    .setting = describe_setting,
                                    .flag = describe_flag,
                                    .timeline = copy_timeline,
                                    .metrics = instruments_expose,
                                    .profile = profiling_take,
                                    .symbols = profiling_symbols,
                                    .spans = tapping_take,
                                    .captures = capture_list,
                                    .capture = capture_get};
    struct admin *made = NULL;
    int rc = runner->admin != NULL ? 0 : admin_new(&made, &host);
    if (made != NULL)
        runner->admin = made;
    return rc;
}

int port_prepare(srun_runner *runner, srun_err *err)
{
    if (runner->config.value.admin.disabled != 0 || runner->testing ||
        runner_find(runner, ADMIN_SERVICE) != NULL) /* of a start that failed later on */
        return 0;
    int rc = make(runner);
    return rc < 0 ? srun_fail(err, rc, "admin: %s", srun_strerror(rc))
                  : runner_add_organ(runner, ADMIN_SERVICE, &admin_ops, runner->admin, err);
}

void port_free(srun_runner *runner)
{
    runner->admin = admin_free(runner->admin);
}

/* --- the public side ------------------------------------------------------------------------- */

int srun_admin_route(srun_runner *runner, const char *method, const char *path,
                     srun_admin_handler *handler, void *user, srun_err *err)
{
    if (forked_since(runner->birth))
        return srun_fail(err, SRUN_EFORK, "route: %s", srun_strerror(SRUN_EFORK));
    if (atomic_load(&runner->phase) != RUNNER_ASSEMBLING)
        return srun_fail(err, SRUN_ESTATE, "route %s: added after the start", path);
    int rc = make(runner);
    return rc < 0 ? srun_fail(err, rc, "route: %s", srun_strerror(rc))
                  : admin_add_route(runner->admin, method, path, handler, user, err);
}

int srun_admin_address(const srun_runner *runner, char *out, size_t size)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    return runner->admin != NULL ? admin_address(runner->admin, out, size) : -ENOENT;
}

int srun_admin_socket(const srun_runner *runner, char *out, size_t size)
{
    if (forked_since(runner->birth))
        return SRUN_EFORK;
    return runner->admin != NULL ? admin_socket(runner->admin, out, size) : -ENOENT;
}
