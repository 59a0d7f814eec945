/* SPDX-License-Identifier: MIT
 *
 * Exemplars and attributes as text. PURE but for memory.
 */
#include "telemetry/prometheus.h"

#include "base/number.h"
#include "telemetry/labels.h"

#include <stdlib.h>
#include <string.h>

#define RUNES_MAX 128 /* names and values of an exemplar's labels, says OpenMetrics */
#define RUNES_OF_IDS (sizeof "trace_id" - 1 + 32 + sizeof "span_id" - 1 + 16)

/* Of too many the first ones. False: even those are too large. */
static bool read_some(struct labels *labels, const struct srun_kv *kvs)
{
    struct srun_kv some[LABELS_MAX + 1];
    size_t count = 0;
    if (labels_read(labels, kvs, NULL, 0))
        return true;
    for (; count < LABELS_MAX && kvs[count].type != SRUN_KV_END; count++)
        some[count] = kvs[count];
    some[count] = (struct srun_kv){.type = SRUN_KV_END};
    return labels_read(labels, some, NULL, 0);
}

void prometheus_labels(struct buf *out, const struct srun_kv *kvs)
{
    struct srun_kv list[LABELS_MAX + 1];
    struct labels labels;
    out->size = 0;
    if (!read_some(&labels, kvs))
        return;
    unsigned char *kept = malloc(labels.size + 1);
    if (kept == NULL) {
        out->failed = true;
        return;
    }
    labels_keep(&labels, kept);
    labels_list(kept, labels.count, list);
    labels_text(out, list);
    free(kept);
}

static void hex(struct buf *out, const char *name, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    buf_text(out, name);
    for (size_t i = 0; i < size; i++) {
        const char pair[] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        buf_add(out, pair, 2);
    }
    buf_text(out, "\"");
}

static bool is_zero_id(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

/* Seconds with the milliseconds; the whole is beyond what a double can say. */
static void time_text(struct buf *out, uint64_t ns)
{
    char text[NUMBER_MAX];
    uint64_t ms = ns / 1000000;
    size_t size = number_uint(text, ms / 1000);
    text[size] = '.';
    number_padded(text + size + 1, (uint32_t)(ms % 1000), 3);
    buf_add(out, text, size + 4);
}

/* The characters of names and values, without what stands around them: a="1",b="\\". */
static size_t runes_of(const char *text, size_t size)
{
    size_t count = 0;
    bool inside = false;
    for (size_t i = 0; i < size; i++) {
        bool escape = inside && text[i] == '\\';
        i += escape;
        if (text[i] == '"' && !escape)
            inside = !inside;
        else if (inside ? ((unsigned char)text[i] & 0xc0) != 0x80
                        : text[i] != '=' && text[i] != ',')
            count++;
    }
    return count;
}

static bool is_id(const char *name, size_t size)
{
    static const char *const ids[] = {"trace_id", "span_id"};
    for (size_t i = 0; i < 2; i++)
        if (size == strlen(ids[i]) && memcmp(name, ids[i], size) == 0)
            return true;
    return false;
}

/* One of the attributes would be a second trace_id or span_id. */
static bool names_an_id(const char *text, size_t size)
{
    bool inside = false;
    for (size_t i = 0, name = 0; i < size; i++) {
        if (!inside && text[i] == '=' && is_id(text + name, i - name))
            return true;
        if (inside && text[i] == '\\')
            i++;
        else if (text[i] == '"')
            inside = !inside;
        else if (!inside && text[i] == ',')
            name = i + 1;
    }
    return false;
}

void prometheus_exemplar(struct buf *out, const struct telemetry_exemplar *exemplar)
{
    char value[NUMBER_MAX];
    auto_buf struct buf labels = {0};
    bool in_trace = !is_zero_id(exemplar->trace_id, sizeof exemplar->trace_id);
    size_t left = RUNES_MAX - (in_trace ? RUNES_OF_IDS : 0);
    if (exemplar->attributes != NULL)
        prometheus_labels(&labels, exemplar->attributes);
    out->failed |= labels.failed;
    bool fits = labels.size > 0 && runes_of(labels.data, labels.size) <= left &&
                !names_an_id(labels.data, labels.size);
    buf_text(out, " # {");
    if (in_trace) {
        hex(out, "trace_id=\"", exemplar->trace_id, sizeof exemplar->trace_id);
        hex(out, ",span_id=\"", exemplar->span_id, sizeof exemplar->span_id);
    }
    if (fits) {
        buf_text(out, in_trace ? "," : "");
        buf_add(out, labels.data, labels.size);
    }
    buf_text(out, "} ");
    buf_add(out, value,
            exemplar->is_integer ? number_int(value, exemplar->integer)
                                 : number_double_text(value, exemplar->value));
    buf_text(out, " ");
    time_text(out, exemplar->time_ns);
}
