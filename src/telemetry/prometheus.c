/* SPDX-License-Identifier: MIT
 *
 * What is the same for all points of a metric is rendered once; a line is then a few copies and a
 * number.
 */
#include "telemetry/prometheus.h"

#include "base/number.h"
#include "telemetry/labels.h"
#include "telemetry/prometheus_taken.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BOUND_MAX (NUMBER_MAX + 8) /* le="...",with room for .0 */

/* A metric and the family it belongs to. */
struct entry {
    const struct telemetry_metric *metric;
    size_t index, lead; /* among all metrics: this one, the first one of the family */
    size_t name_at, unit;
    const char *name; /* in the text format */
    size_t name_size;
    bool written;
};

/* The lines of one metric. */
struct writer {
    struct buf *out;
    const struct telemetry_metric *metric;
    bool openmetrics;
    const char *name; /* what all its lines begin with */
    size_t name_size;
    struct buf scope;  /* otel_scope_name="x", or empty */
    struct buf bounds; /* le="0.1" and so on, BOUND_MAX apart; the last is +Inf */
    struct buf labels; /* of a point that has none rendered */
    const char *point_labels;
    size_t point_size;
};

/* --- values ---------------------------------------------------------------------------------- */

static size_t value_text(char out[NUMBER_MAX], const struct telemetry_point *point)
{
    return point->is_double ? number_double_text(out, point->real)
                            : number_int(out, point->integer);
}

/* Of two texts for a number OpenMetrics takes the one that shows that it may have decimals. */
static void bound_text(char out[BOUND_MAX], double bound, bool openmetrics)
{
    char *at = stpcpy(out, "le=\"");
    size_t size = number_double_text(at, bound);
    if (openmetrics && memchr(at, '.', size) == NULL && memchr(at, 'e', size) == NULL &&
        isfinite(bound)) {
        memcpy(at + size, ".0", 2);
        size += 2;
    }
    memcpy(at + size, "\"", 2);
}

/* Where so many more bytes may be written; NULL: no memory. Then how many were. */
static char *room(struct buf *out, size_t size)
{
    return buf_reserve(out, size) ? out->data + out->size : NULL;
}

static void written(struct buf *out, size_t size)
{
    out->size += size;
    out->data[out->size] = '\0';
}

/* --- lines ----------------------------------------------------------------------------------- */

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

/* NAME SUFFIX {scope,labels,more} value, without the end of the line. */
static void line(struct writer *w, const char *suffix, const char *more, const char *value,
                 size_t value_size)
{
    size_t suffix_size = strlen(suffix), more_size = strlen(more);
    char *start = room(w->out, w->name_size + suffix_size + w->scope.size + w->point_size +
                                   more_size + value_size + 8);
    if (start == NULL)
        return;
    char *at = put(start, w->name, w->name_size);
    at = put(at, suffix, suffix_size);
    if (w->scope.size + w->point_size + more_size > 0) {
        char *open = at++;
        if (w->scope.size > 0) {
            at = put(at, w->scope.data, w->scope.size);
            *at++ = ',';
        }
        if (w->point_size > 0) {
            at = put(at, w->point_labels, w->point_size);
            *at++ = ',';
        }
        if (more_size > 0)
            at = put(at, more, more_size);
        at -= more_size == 0; /* the comma */
        *open = '{';
        *at++ = '}';
    }
    *at++ = ' ';
    at = put(at, value, value_size);
    written(w->out, (size_t)(at - start));
}

static void end_line(struct writer *w)
{
    buf_add(w->out, "\n", 1);
}

/* The newest one whose value lies in (low, high]. */
static void exemplar(struct writer *w, const struct telemetry_point *point, double low, double high)
{
    const struct telemetry_exemplar *found = NULL;
    for (size_t i = 0; w->openmetrics && i < point->exemplar_count; i++) {
        const struct telemetry_exemplar *at = &point->exemplars[i];
        if (at->value > low && at->value <= high && (found == NULL || at->time_ns > found->time_ns))
            found = at;
    }
    if (found == NULL)
        return;
    prometheus_exemplar(w->out, found);
}

/* --- points ---------------------------------------------------------------------------------- */

static void use_labels(struct writer *w, const struct telemetry_point *point)
{
    w->point_labels = point->labels;
    w->point_size = point->label_size;
    if (point->labels != NULL)
        return;
    prometheus_labels(&w->labels, point->attributes);
    w->point_labels = w->labels.data;
    w->point_size = w->labels.size;
}

static void plain_point(struct writer *w, const struct telemetry_point *point)
{
    char value[NUMBER_MAX];
    bool counter = w->metric->kind == TELEMETRY_SUM && w->metric->monotonic;
    line(w, "", "", value, value_text(value, point));
    if (counter)
        exemplar(w, point, -INFINITY, INFINITY);
    end_line(w);
}

static const char *bound_at(const struct writer *w, size_t i)
{
    return w->bounds.data + i * BOUND_MAX;
}

static void histogram_point(struct writer *w, const struct telemetry_point *point)
{
    const struct telemetry_metric *metric = w->metric;
    char value[NUMBER_MAX];
    uint64_t count = 0;
    for (size_t i = 0; i < point->bucket_count && i < metric->bound_count; i++) {
        count += point->buckets[i];
        line(w, "_bucket", bound_at(w, i), value, number_uint(value, count));
        exemplar(w, point, i > 0 ? metric->bounds[i - 1] : -INFINITY, metric->bounds[i]);
        end_line(w);
    }
    line(w, "_bucket", bound_at(w, metric->bound_count), value, number_uint(value, point->count));
    exemplar(w, point,
             metric->bound_count > 0 ? metric->bounds[metric->bound_count - 1] : -INFINITY,
             INFINITY);
    end_line(w);
    if (point->has_sum) {
        line(w, "_sum", "", value, number_double_text(value, point->sum));
        end_line(w);
    }
    line(w, "_count", "", value, number_uint(value, point->count));
    end_line(w);
}

/* --- a metric -------------------------------------------------------------------------------- */

static void scope_label(struct buf *out, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0')
        return;
    buf_text(out, out->size > 0 ? "," : "");
    buf_text(out, name);
    buf_text(out, "=\"");
    labels_value(out, value, strlen(value));
    buf_text(out, "\"");
}

/* The library's own scope has no name and needs no label. */
static void scope_text(struct buf *out, const struct telemetry_scope *scope)
{
    if (scope == NULL || scope->name[0] == '\0')
        return;
    scope_label(out, "otel_scope_name", scope->name);
    scope_label(out, "otel_scope_version", scope->version);
    scope_label(out, "otel_scope_schema_url", scope->schema_url);
}

static bool is_histogram(const struct telemetry_metric *metric)
{
    return metric->kind == TELEMETRY_HISTOGRAM || metric->kind == TELEMETRY_EXPONENTIAL_HISTOGRAM;
}

static void render_bounds(struct writer *w)
{
    for (size_t i = 0; i <= w->metric->bound_count; i++) {
        char *at = room(&w->bounds, BOUND_MAX);
        if (at == NULL)
            return;
        bound_text(at, i < w->metric->bound_count ? w->metric->bounds[i] : INFINITY,
                   w->openmetrics);
        written(&w->bounds, BOUND_MAX);
    }
}

static void write_points(struct buf *out, const struct entry *entry, bool openmetrics)
{
    struct writer w = {.out = out,
                       .metric = entry->metric,
                       .openmetrics = openmetrics,
                       .name = entry->name,
                       .name_size = entry->name_size};
    scope_text(&w.scope, entry->metric->scope);
    if (is_histogram(entry->metric))
        render_bounds(&w);
    out->failed |= w.scope.failed | w.bounds.failed;
    for (size_t i = 0; i < entry->metric->point_count && !out->failed; i++) {
        const struct telemetry_point *point = &entry->metric->points[i];
        use_labels(&w, point);
        if (is_histogram(entry->metric))
            histogram_point(&w, point);
        else
            plain_point(&w, point);
        out->failed |= w.labels.failed;
    }
    buf_free(&w.scope);
    buf_free(&w.bounds);
    buf_free(&w.labels);
}

/* --- a family -------------------------------------------------------------------------------- */

static const char *type_of(const struct telemetry_metric *metric)
{
    if (is_histogram(metric))
        return "histogram";
    return metric->kind == TELEMETRY_SUM && metric->monotonic ? "counter" : "gauge";
}

static void help_text(struct buf *out, const char *help, bool openmetrics)
{
    auto_buf struct buf escaped = {0};
    labels_value(&escaped, help, strlen(help));
    out->failed |= escaped.failed;
    /* As a label's value; but in the text format a quote stands for itself. */
    for (size_t i = 0; i < escaped.size; i++) {
        bool quote = escaped.data[i] == '\\' && escaped.data[i + 1] == '"' && !openmetrics;
        if (escaped.data[i] == '\\' && !quote)
            buf_add(out, &escaped.data[i++], 1);
        if (!quote)
            buf_add(out, &escaped.data[i], 1);
    }
}

static void comment(struct buf *out, const char *what, const struct entry *entry, size_t name_size)
{
    buf_text(out, what);
    buf_add(out, entry->name, name_size);
    buf_text(out, " ");
}

/* In OpenMetrics _total belongs to the lines of a counter, not to its family. */
static size_t family_size(const struct entry *entry, bool openmetrics)
{
    bool counter = strcmp(type_of(entry->metric), "counter") == 0;
    return entry->name_size - (openmetrics && counter ? strlen("_total") : 0);
}

static void write_head(struct buf *out, const struct entry *entry, bool openmetrics)
{
    const struct telemetry_metric *metric = entry->metric;
    size_t size = family_size(entry, openmetrics);
    if (metric->help != NULL && metric->help[0] != '\0') {
        comment(out, "# HELP ", entry, size);
        help_text(out, metric->help, openmetrics);
        buf_text(out, "\n");
    }
    comment(out, "# TYPE ", entry, size);
    buf_text(out, type_of(metric));
    buf_text(out, "\n");
    if (openmetrics && entry->unit > 0) {
        comment(out, "# UNIT ", entry, size);
        buf_add(out, entry->name + entry->unit, size - entry->unit);
        buf_text(out, "\n");
    }
}

/* Does this one fit in with what was written of the family? Two of one scope would have lines in
 * common. */
static bool fits(const struct entry *first, const struct entry *entry)
{
    const char *type = type_of(entry->metric);
    for (const struct entry *before = first; before < entry; before++)
        if (before->written && (before->metric->scope == entry->metric->scope ||
                                strcmp(type_of(before->metric), type) != 0))
            return false;
    return !entry->metric->delta;
}

/* The names that are its own from now on; false: another family has one of them. */
static bool take_names(struct taken *taken, const struct entry *entry, bool openmetrics)
{
    static const char *const counter[] = {"", "_total", "_created", NULL};
    static const char *const histogram[] = {"", "_bucket", "_sum", "_count", NULL};
    static const char *const created[] = {"", "_bucket", "_sum", "_count", "_created", NULL};
    static const char *const plain[] = {"", NULL};
    const char *type = type_of(entry->metric);
    const char *const *suffixes = plain;
    if (strcmp(type, "histogram") == 0)
        suffixes = openmetrics ? created : histogram;
    else if (strcmp(type, "counter") == 0 && openmetrics)
        suffixes = counter;
    return taken_add(taken, entry->name, family_size(entry, openmetrics), suffixes);
}

static size_t write_family(struct buf *out, struct entry *first, size_t count, bool openmetrics,
                           struct taken *taken)
{
    size_t written = 0;
    for (size_t i = 0; i < count; i++) {
        if (!fits(first, &first[i]))
            continue;
        if (written == 0) {
            if (!take_names(taken, &first[i], openmetrics))
                break;
            write_head(out, &first[i], openmetrics);
        }
        written++;
        first[i].written = true;
        write_points(out, &first[i], openmetrics);
    }
    return count - written;
}

/* --- all of it ------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

static int by_family(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->lead != y->lead)
        return x->lead < y->lead ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Families in the order in which their first metric comes, their metrics together. */
static void arrange(struct entry *entries, size_t count)
{
    qsort(entries, count, sizeof *entries, by_name);
    for (size_t i = 0; i < count; i++) {
        bool same = i > 0 && strcmp(entries[i - 1].name, entries[i].name) == 0;
        entries[i].lead = same ? entries[i - 1].lead : entries[i].index;
    }
    qsort(entries, count, sizeof *entries, by_family);
}

static bool name_all(struct entry *entries, const struct telemetry_metric *metrics, size_t count,
                     struct buf *names)
{
    for (size_t i = 0; i < count; i++) {
        entries[i] = (struct entry){.metric = &metrics[i], .index = i, .name_at = names->size};
        prometheus_name(names, &metrics[i], &entries[i].unit);
        entries[i].name_size = names->size - entries[i].name_at;
        buf_add(names, "", 1);
    }
    for (size_t i = 0; i < count && !names->failed; i++)
        entries[i].name = names->data + entries[i].name_at;
    return !names->failed;
}

static void write_target(struct buf *out, const struct telemetry_resource *resource,
                         bool openmetrics)
{
    auto_buf struct buf labels = {0};
    if (resource == NULL)
        return;
    prometheus_labels(&labels, resource->attributes);
    out->failed = out->failed || labels.failed;
    buf_text(out, openmetrics ? "# HELP target Target metadata\n# TYPE target info\n"
                              : "# HELP target_info Target metadata\n# TYPE target_info gauge\n");
    buf_text(out, "target_info{");
    buf_add(out, labels.data, labels.size);
    buf_text(out, "} 1\n");
}

static size_t write_families(struct buf *out, struct entry *entries, size_t count, bool openmetrics,
                             struct taken *taken)
{
    size_t left_out = 0;
    for (size_t i = 0, size = 0; i < count; i += size) {
        for (size = 1; i + size < count && entries[i + size].lead == entries[i].lead; size++)
            ;
        left_out += write_family(out, &entries[i], size, openmetrics, taken);
    }
    return left_out;
}

size_t prometheus_write(struct buf *out, const struct telemetry_metric *metrics, size_t count,
                        const struct telemetry_resource *resource, bool openmetrics)
{
    static const char *const target[] = {"target_info", NULL};
    static const char *const target_family[] = {"target", "target_info", NULL};
    auto_buf struct buf names = {0};
    struct taken taken = {0};
    size_t left_out = 0;
    struct entry *entries = calloc(count + 1, sizeof *entries);
    bool able =
        entries != NULL && taken_init(&taken, count) && name_all(entries, metrics, count, &names);
    if (able) {
        if (resource != NULL)
            (void)taken_add(&taken, "", 0, openmetrics ? target_family : target);
        arrange(entries, count);
        left_out = write_families(out, entries, count, openmetrics, &taken);
        write_target(out, resource, openmetrics);
        if (openmetrics)
            buf_text(out, "# EOF\n");
    }
    out->failed = out->failed || !able || taken.texts.failed;
    taken_free(&taken);
    free(entries);
    return left_out;
}
