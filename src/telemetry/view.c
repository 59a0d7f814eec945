/* SPDX-License-Identifier: MIT */
#include "telemetry/view.h"

#include "base/sized.h"
#include "telemetry/rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- which ones ------------------------------------------------------------------------------ */

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Without recursion: after a mismatch the last * takes one more character. */
static bool matches(const char *pattern, const char *name)
{
    const char *star = NULL, *retry = NULL;
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern == '?' || lower(*pattern) == lower(*name)) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

static bool is_about(const struct meter_view *view, const struct view_subject *subject)
{
    return matches(view->pattern, subject->name) &&
           (view->view.kind == SRUN_KIND_ANY || view->view.kind == subject->kind) &&
           (view->view.meter == NULL || matches(view->view.meter, subject->meter));
}

static const char *name_by(const struct meter_view *view, const struct view_subject *subject)
{
    return view->view.name != NULL ? view->view.name : subject->name;
}

static bool is_there(const struct meter_view *const *list, size_t count,
                     const struct meter_view *view, const struct view_subject *subject)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(name_by(list[i], subject), name_by(view, subject)) == 0)
            return true;
    return false;
}

size_t views_choose_locked(const struct telemetry_meters *meters,
                           const struct view_subject *subject,
                           const struct meter_view *out[STREAMS_MAX], bool *more)
{
    size_t count = 0;
    *more = false;
    for (const struct meter_view *view = meters->views; view != NULL; view = view->next) {
        if (!is_about(view, subject))
            continue;
        if (count < STREAMS_MAX && !is_there(out, count, view, subject))
            out[count++] = view;
        else
            *more = *more || view->view.name != NULL;
    }
    return count;
}

/* --- making ---------------------------------------------------------------------------------- */

static void free_view(struct meter_view *view)
{
    for (size_t i = 0; view->keep != NULL && view->keep[i] != NULL; i++)
        free(view->keep[i]);
    free(view->keep);
    free((void *)(uintptr_t)view->view.bounds);
    free((void *)(uintptr_t)view->view.meter);
    free((void *)(uintptr_t)view->view.name);
    free((void *)(uintptr_t)view->view.help);
    free(view->pattern);
    free(view);
}

void views_free(struct telemetry_meters *meters)
{
    while (meters->views != NULL) {
        struct meter_view *view = meters->views;
        meters->views = view->next;
        free_view(view);
    }
}

static bool copy_keep(struct meter_view *copy, const char *const *keep)
{
    size_t count = 0;
    while (keep[count] != NULL)
        count++;
    copy->keep = calloc(count + 1, sizeof copy->keep[0]);
    for (size_t i = 0; copy->keep != NULL && i < count; i++) {
        copy->keep[i] = strdup(keep[i]);
        if (copy->keep[i] == NULL)
            return false;
    }
    copy->view.keep = (const char *const *)copy->keep;
    return copy->keep != NULL;
}

double *view_copy_bounds(const double *bounds, size_t count)
{
    double *copy = calloc(count + 1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    if (count > 0)
        memcpy(copy, bounds, count * sizeof *copy);
    return copy;
}

/* False: no memory. */
static bool copy_text(const char **out, const char *text)
{
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

static struct meter_view *copy_view(const char *pattern, const struct srun_view *view)
{
    struct meter_view *copy = calloc(1, sizeof *copy);
    if (copy == NULL)
        return NULL;
    copy->view = *view;
    copy->view.keep = NULL;
    copy->view.bounds = NULL;
    copy->view.meter = copy->view.name = copy->view.help = NULL;
    copy->pattern = strdup(pattern);
    bool whole = copy->pattern != NULL && copy_text(&copy->view.meter, view->meter) &&
                 copy_text(&copy->view.name, view->name) && copy_text(&copy->view.help, view->help);
    if (whole && view->keep != NULL)
        whole = copy_keep(copy, view->keep);
    if (whole && view->bounds != NULL) {
        copy->view.bounds = view_copy_bounds(view->bounds, view->bound_count);
        whole = copy->view.bounds != NULL;
    }
    if (whole)
        return copy;
    free_view(copy);
    return NULL;
}

/* What makes no sense in it, or NULL. */
static const char *problem_of(const char *pattern, struct srun_view *view)
{
    if (view->bounds != NULL && !rules_bounds(view->bounds, &view->bound_count))
        return "bounds: accepted are up to 500 that ascend";
    if (view->kind < SRUN_KIND_ANY || view->kind > SRUN_KIND_OBSERVABLE_GAUGE)
        return "kind: there is no such one";
    if (view->name != NULL && !rules_name(view->name))
        return "name: accepted is a letter and up to 254 letters, digits and _ . - /";
    if (view->name != NULL && strpbrk(pattern, "*?") != NULL)
        return "name: several instruments would have it";
    if (view->name != NULL && view->drop != 0)
        return "name: what is dropped has none";
    return is_zero(view->reserved, sizeof view->reserved) ? NULL : "reserved is not zero";
}

int telemetry_view(struct telemetry_meters *meters, const char *pattern,
                   const struct srun_view *view, srun_err *err)
{
    struct srun_view known;
    int rc = view != NULL ? sized_copy(&known, sizeof known, offsetof(struct srun_view, keep), view)
                          : -EINVAL;
    if (rc < 0)
        return srun_fail(err, rc, "view: its size: accepted is sizeof(struct srun_view), here %zu",
                         sizeof known);
    if (pattern == NULL || pattern[0] == '\0')
        return srun_fail(err, -EINVAL, "view: the pattern is empty");
    const char *problem = problem_of(pattern, &known);
    if (problem != NULL)
        return srun_fail(err, -EINVAL, "view %s: %s", pattern, problem);
    struct meter_view *copy = copy_view(pattern, &known);
    if (copy == NULL)
        return srun_fail(err, -ENOMEM, "view %s: out of memory", pattern);
    pthread_mutex_lock(&meters->lock);
    *(meters->last_view != NULL ? &meters->last_view->next : &meters->views) = copy;
    meters->last_view = copy;
    pthread_mutex_unlock(&meters->lock);
    return 0;
}
