/* SPDX-License-Identifier: MIT
 *
 * From OpenTelemetry's names and units (UCUM) to those of Prometheus. PURE.
 */
#include "base/ensure.h"
#include "telemetry/prometheus.h"

#include <string.h>

struct word {
    const char *ucum, *text;
};

static const struct word units[] = {
    {"d", "days"},          {"h", "hours"},         {"min", "minutes"},    {"s", "seconds"},
    {"ms", "milliseconds"}, {"us", "microseconds"}, {"ns", "nanoseconds"}, {"By", "bytes"},
    {"KiBy", "kibibytes"},  {"MiBy", "mebibytes"},  {"GiBy", "gibibytes"}, {"TiBy", "tibibytes"},
    {"kBy", "kilobytes"},   {"KBy", "kilobytes"},   {"MBy", "megabytes"},  {"GBy", "gigabytes"},
    {"TBy", "terabytes"},   {"m", "meters"},        {"V", "volts"},        {"A", "amperes"},
    {"J", "joules"},        {"W", "watts"},         {"g", "grams"},        {"Cel", "celsius"},
    {"Hz", "hertz"},        {"%", "percent"},
};

static const struct word per_units[] = {
    {"s", "second"}, {"min", "minute"}, {"m", "minute"}, {"h", "hour"},
    {"d", "day"},    {"w", "week"},     {"mo", "month"}, {"y", "year"},
};

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Runs of what has no place in a name become one _. start: where the name begins in out. */
static void add_clean(struct buf *out, size_t start, const char *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        bool plain = is_plain(text[i]) || text[i] == ':';
        bool again = out->size > start && out->data[out->size - 1] == '_';
        if (plain || !again)
            buf_add(out, plain ? &text[i] : "_", 1);
    }
}

static void add_unit(struct buf *out, const char *unit, size_t size, const struct word *words,
                     size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strncmp(words[i].ucum, unit, size) == 0 && words[i].ucum[size] == '\0') {
            buf_text(out, words[i].text);
            return;
        }
    add_clean(out, out->size, unit, size);
    while (out->size > 0 && out->data[out->size - 1] == '_')
        out->data[--out->size] = '\0';
}

/* Without {what stands in braces}. */
static size_t strip_braces(char *to, size_t room, const char *from)
{
    size_t size = 0;
    bool inside = false;
    for (; *from != '\0'; from++) {
        inside = inside || *from == '{';
        if (!inside && size < room)
            to[size++] = *from;
        inside = inside && *from != '}';
    }
    return size;
}

static void unit_text(struct buf *out, const struct telemetry_metric *metric)
{
    char plain[64] = {0};
    size_t size = strip_braces(plain, sizeof plain, metric->unit != NULL ? metric->unit : "");
    if (size == 1 && plain[0] == '1') {
        if (metric->kind == TELEMETRY_GAUGE)
            buf_text(out, "ratio");
        return;
    }
    const char *slash = memchr(plain, '/', size);
    size_t first = slash != NULL ? (size_t)(slash - plain) : size;
    if (first > 0 && !(first == 1 && plain[0] == '1'))
        add_unit(out, plain, first, units, COUNT_OF(units));
    if (slash == NULL || first + 1 >= size)
        return;
    buf_text(out, out->size > 0 ? "_per_" : "per_");
    add_unit(out, slash + 1, size - first - 1, per_units, COUNT_OF(per_units));
}

static bool ends_in(const struct buf *out, size_t start, const char *word)
{
    size_t size = strlen(word);
    return out->size - start > size + 1 && memcmp(out->data + out->size - size, word, size) == 0 &&
           out->data[out->size - size - 1] == '_';
}

static void cut(struct buf *out, size_t size)
{
    out->size -= size;
    out->data[out->size] = '\0';
}

void prometheus_name(struct buf *out, const struct telemetry_metric *metric, size_t *unit_out)
{
    auto_buf struct buf unit = {0};
    size_t start = out->size;
    bool counter = metric->kind == TELEMETRY_SUM && metric->monotonic;
    if (unit_out != NULL)
        *unit_out = 0;
    if (metric->name[0] >= '0' && metric->name[0] <= '9')
        buf_text(out, "_");
    add_clean(out, start, metric->name, strlen(metric->name));
    unit_text(&unit, metric);
    out->failed |= unit.failed;
    if (out->failed)
        return;
    if (counter && ends_in(out, start, "total"))
        cut(out, strlen("_total"));
    while (out->size > start + 1 && out->data[out->size - 1] == '_')
        cut(out, 1);
    if (unit.size > 0 && !ends_in(out, start, unit.data)) {
        buf_text(out, "_");
        buf_add(out, unit.data, unit.size);
    }
    if (unit_out != NULL && unit.size > 0)
        *unit_out = out->size - start - unit.size;
    if (counter)
        buf_text(out, "_total");
}
