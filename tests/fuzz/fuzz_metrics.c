/* SPDX-License-Identifier: MIT
 *
 * Any bytes as names and values of attributes, as a help and as an Accept header: the page stays
 * one that can be read (a reader of its own says so), and two sets are one exactly when they are
 * equal.
 */
#include "base/ensure.h"
#include "base/text.h"
#include "fuzz.h"
#include "telemetry/labels.h"
#include "telemetry/negotiate.h"
#include "telemetry/prometheus.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX ((size_t)4096)
#define PARTS_MAX 12

struct part {
    const char *text;
    size_t size;
};

/* The input in pieces, cut at each byte 1. */
static size_t cut(const char *data, size_t size, struct part *parts)
{
    size_t count = 0;
    while (size > 0 && count < PARTS_MAX) {
        const char *end = memchr(data, 1, size);
        size_t length = end != NULL ? (size_t)(end - data) : size;
        parts[count++] = (struct part){data, length};
        size_t used = length + (end != NULL);
        data += used;
        size -= used;
    }
    return count;
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/* name="value",...: where it ends, which has to be there. */
static const char *read_labels(const char *at)
{
    while (*at != '}') {
        const char *name = at;
        while (is_name_byte(*at))
            at++;
        ENSURE(at > name && !(*name >= '0' && *name <= '9') && at[0] == '=' && at[1] == '"');
        for (at += 2; *at != '"'; at++) {
            ENSURE(*at != '\0' && *at != '\n');
            if (*at == '\\') {
                at++;
                ENSURE(*at == '\\' || *at == '"' || *at == 'n');
            }
        }
        at++;
        ENSURE(*at == ',' || *at == '}');
        at += *at == ',';
    }
    return at + 1;
}

static void check_page(const char *text, bool openmetrics)
{
    while (*text != '\0') {
        const char *end = strchr(text, '\n');
        ENSURE(end != NULL && end > text); /* no blank line */
        if (text[0] != '#') {
            const char *at = text + strcspn(text, "{ ");
            if (*at == '{')
                at = read_labels(at + 1);
            ENSURE(at[0] == ' ' && at[1] == '1' && at + 2 == end);
        } else {
            bool last = openmetrics && strcmp(text, "# EOF\n") == 0;
            ENSURE(last || strncmp(text, "# HELP g ", 9) == 0 ||
                   strncmp(text, "# TYPE g ", 9) == 0);
        }
        text = end + 1;
    }
}

/* The ids are there in any case, the rest of the labels as far as there is room. */
static void check_exemplar(const struct srun_kv *attributes)
{
    static const char begin[] = " # {trace_id=\"01000000000000000000000000000000\",span_id=";
    struct buf out = {0};
    prometheus_exemplar(&out,
                        &(struct telemetry_exemplar){
                            .trace_id = {1}, .span_id = {1}, .value = 1, .attributes = attributes});
    ENSURE(!out.failed && strlen(out.data) == out.size);
    ENSURE(strncmp(out.data, begin, strlen(begin)) == 0);
    ENSURE(strcmp(read_labels(out.data + strlen(" # {")), " 1 0.000") == 0);
    size_t runes = 0, around = 0;
    for (const char *c = out.data; *c != '\0'; c++) {
        runes += ((unsigned char)*c & 0xc0) != 0x80;
        around += *c == '\\';
    }
    ENSURE(runes <= 128 + around + strlen(" # {} 1 0.000") + LABELS_MAX * strlen(",=\"\""));
    buf_free(&out);
}

static void check_text(const struct labels *labels, const char *help, bool openmetrics)
{
    struct srun_kv list[LABELS_MAX + 1];
    struct buf out = {0};
    unsigned char *kept = malloc(labels->size + 1);
    ENSURE(kept != NULL);
    labels_keep(labels, kept);
    ENSURE(labels_are(labels, kept));
    labels_list(kept, labels->count, list);
    const struct telemetry_point point = {.attributes = list, .integer = 1};
    const struct telemetry_metric metric = {.name = "g",
                                            .unit = "",
                                            .help = help,
                                            .kind = TELEMETRY_GAUGE,
                                            .points = &point,
                                            .point_count = 1};
    (void)prometheus_write(&out, &metric, 1, NULL, openmetrics);
    ENSURE(!out.failed && strlen(out.data) == out.size);
    ENSURE(text_utf8_until(out.data, out.size) == out.size);
    check_page(out.data, openmetrics);
    check_exemplar(list);
    buf_free(&out);
    free(kept);
}

/* The same set in the other order has the same hash and bytes; with one byte changed it has not. */
static void check_order(const struct srun_kv *kvs, size_t count, const struct labels *labels)
{
    static struct labels other;
    struct srun_kv reversed[PARTS_MAX];
    bool twice = false;
    for (size_t i = 0; i < count; i++) {
        reversed[i] = kvs[count - 1 - i];
        for (size_t k = 0; k < i; k++)
            twice |= kvs[i].key_size == kvs[k].key_size &&
                     memcmp(kvs[i].key, kvs[k].key, kvs[i].key_size) == 0;
    }
    reversed[count] = (struct srun_kv){.type = SRUN_KV_END};
    ENSURE(labels_read(&other, reversed, NULL, 7));
    if (twice)
        return;
    unsigned char *kept = malloc(labels->size + 1);
    ENSURE(kept != NULL);
    labels_keep(labels, kept);
    ENSURE(other.hash == labels->hash && other.size == labels->size &&
           other.count == labels->count && labels_are(&other, kept));
    for (size_t i = 0; i < labels->size; i++) {
        kept[i] ^= 1;
        bool end = kept[i] == 1; /* a NUL behind a text is not compared: it is always there */
        ENSURE(end || !labels_are(&other, kept));
        kept[i] ^= 1;
    }
    free(kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct labels labels;
    struct part parts[PARTS_MAX];
    struct srun_kv kvs[PARTS_MAX];
    struct negotiated format;
    if (size > INPUT_MAX)
        return 0;
    char *text = malloc(size + 1);
    ENSURE(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    negotiate(text, &format);
    ENSURE(strncmp(format.type,
                   format.openmetrics ? "application/openmetrics-text; version="
                                      : "text/plain; version=",
                   20) == 0);
    size_t count = cut(text, size, parts), used = 0;
    for (size_t i = 0; i + 1 < count; i += 2)
        if (parts[i].size > 0)
            kvs[used++] = (struct srun_kv){.key = parts[i].text,
                                           .key_size = (unsigned)parts[i].size,
                                           .type = SRUN_KV_BYTES,
                                           .value.str = parts[i + 1].text,
                                           .size = parts[i + 1].size};
    kvs[used] = (struct srun_kv){.type = SRUN_KV_END};
    ENSURE(labels_read(&labels, kvs, NULL, 7));
    check_text(&labels, text, false);
    check_text(&labels, text, true);
    check_order(kvs, used, &labels);
    free(text);
    return 0;
}
