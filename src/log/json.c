/* SPDX-License-Identifier: MIT
 *
 * The JSON form of a record. PURE: any thread, no allocation, no locale.
 *
 * Strings are escaped by slog's rule, and where slog lets them through, DEL and the C1 controls
 * too. Bytes that are not UTF-8 become \ufffd. The fraction of the time always has nine digits, so
 * lines sort as text. NaN and infinities, which JSON has no numbers for, are strings.
 */
#include "log/json.h"

#include "base/ensure.h"
#include "base/number.h"
#include "base/text.h"
#include "log/level.h"
#include "log/plain.h"

#include <math.h>

#define MARK ",\"truncated\":true"

_Static_assert(sizeof("\"}" MARK "}\n") <= OUT_RESERVE, "the reserve holds the tail");

/* One rune as it stands in a string. */
static size_t escape(char at[8], const char *text, size_t size, uint32_t rune)
{
    if (rune == '"' || rune == '\\' || rune == '\n' || rune == '\r' || rune == '\t') {
        at[0] = '\\';
        at[1] = rune == '\n' ? 'n' : rune == '\r' ? 'r' : rune == '\t' ? 't' : (char)rune;
        return 2;
    }
    if (rune == TEXT_NO_RUNE)
        rune = 0xfffd;
    else if (rune >= ' ' && (rune < 0x7f || rune > 0x9f) && rune != 0x2028 && rune != 0x2029) {
        memcpy(at, text, size);
        return size;
    }
    memcpy(at, "\\u", 2);
    for (int i = 5; i >= 2; i--, rune >>= 4)
        at[i] = "0123456789abcdef"[rune & 15];
    return 6;
}

/* What is left of a string from the first byte that needs care on, and the closing quote. */
static __attribute__((noinline)) struct out put_rest(struct out given, const char *text,
                                                     size_t size)
{
    struct out *out = &given;
    while (size > 0) {
        char piece[8];
        uint32_t rune;
        size_t taken = text_rune(text, size, &rune);
        if (!out_put(out, piece, escape(piece, text, taken, rune)))
            break;
        text += taken;
        size -= taken;
        size_t room = out_room(out);
        size_t run = plain_copy(out->at, text, size < room ? size : room);
        out->at += run;
        text += run;
        size -= run;
    }
    OUT_TAIL(out, "\"");
    return given;
}

static inline __attribute__((always_inline)) void put_string(struct out *out, const char *text,
                                                             size_t size)
{
    if (!OUT_LITERAL(out, "\""))
        return;
    char *at = out->at;
    size_t room = out_room(out);
    size_t run = plain_copy(at, text, size < room ? size : room);
    out->at = at + run;
    if (run < size)
        *out = put_rest(*out, text + run, size - run);
    else
        OUT_TAIL(out, "\"");
}

static inline __attribute__((always_inline)) void put_text(struct out *out,
                                                           const struct srun_kv *kv)
{
    bool sized = kv->type == SRUN_KV_BYTES;
    const char *text = kv->value.str;
    if (text != NULL)
        put_string(out, text, sized ? kv->size : strnlen(text, out_room(out) + 1));
    else if (sized && kv->size == 0)
        put_string(out, "", 0);
    else
        (void)OUT_LITERAL(out, "null");
}

static inline void put_double(struct out *out, double value)
{
    char *at = out->at;
    if (isfinite(value)) {
        out->at = at + number_double_json(at, value);
        return;
    }
    *at++ = '"';
    at += number_double_json(at, value);
    *at++ = '"';
    out->at = at;
}

static __attribute__((noinline)) struct out put_code(struct out out, int64_t code)
{
    char text[ERRNO_TEXT_MAX];
    put_string(&out, text, record_errno_text(text, code));
    return out;
}

/* Strings may be cut in the middle; the others, whose room is looked after here, may not. */
static inline __attribute__((always_inline)) void put_value(struct out *out,
                                                            const struct srun_kv *kv)
{
    if (kv->type == SRUN_KV_STR || kv->type == SRUN_KV_BYTES) {
        put_text(out, kv);
        return;
    }
    if (!out_fits(out, NUMBER_MAX))
        return;
    switch (kv->type) {
    case SRUN_KV_INT:
    case SRUN_KV_DURATION:
        out->at += number_int(out->at, kv->value.i);
        break;
    case SRUN_KV_UINT:
        out->at += number_uint(out->at, kv->value.u);
        break;
    case SRUN_KV_DOUBLE:
        put_double(out, kv->value.d);
        break;
    case SRUN_KV_BOOL:
        memcpy(out->at, kv->value.i != 0 ? "true " : "false", 5);
        out->at += kv->value.i != 0 ? 4 : 5;
        break;
    case SRUN_KV_ERRNO:
        *out = put_code(*out, kv->value.i);
        break;
    default:
        (void)OUT_LITERAL(out, "null"); /* a type this library does not know */
        break;
    }
}

/* ,"key": */
static inline __attribute__((always_inline)) void put_key(struct out *out, const struct srun_kv *kv)
{
    const char *key = kv->key != NULL ? kv->key : "";
    size_t room = out_room(out);
    size_t size = kv->key_size > 0 ? kv->key_size : strnlen(key, room + 1);
    if (room < size + 4) {
        out->cut = true;
        return;
    }
    char *at = out->at;
    *at++ = ',';
    *at++ = '"';
    size_t run = plain_copy(at, key, size);
    out->at = at + run;
    if (run < size)
        *out = put_rest(*out, key + run, size - run);
    else
        OUT_TAIL(out, "\"");
    (void)OUT_LITERAL(out, ":");
}

/* An attribute without a whole key, or without anything of its value, is taken back. */
static __attribute__((noinline)) struct out put_attr_carefully(struct out given,
                                                               const struct srun_kv *kv)
{
    struct out *out = &given;
    char *before = out->at;
    put_key(out, kv);
    char *value = out->at;
    if (out->cut) {
        out->at = before;
        return given;
    }
    put_value(out, kv);
    if (out->cut && out->at == value)
        out->at = before;
    return given;
}

/* What nearly every attribute is: a plain key for which there is room, then the value. */
static inline __attribute__((always_inline)) void put_attr(struct out *out,
                                                           const struct srun_kv *kv)
{
    size_t size = kv->key_size;
    if (size == 0 || out_room(out) < size + 4 + NUMBER_MAX) {
        *out = put_attr_carefully(*out, kv);
        return;
    }
    char *at = out->at;
    memcpy(at, ",\"", 2);
    if (plain_copy(at + 2, kv->key, size) < size) {
        *out = put_attr_carefully(*out, kv);
        return;
    }
    memcpy(at + 2 + size, "\":", 2);
    out->at = at + 4 + size;
    put_value(out, kv);
}

static inline __attribute__((always_inline)) void put_attrs(struct out *out,
                                                            const struct srun_kv *kvs)
{
    if (kvs == NULL)
        return;
    for (; kvs->type != SRUN_KV_END && !out->cut; kvs++)
        put_attr(out, kvs);
}

void json_attrs(struct out *out, const struct srun_kv *kvs)
{
    struct out local = out_borrow(out);
    put_attrs(&local, kvs);
    out_return(out, &local);
}

#define HEAD_MAX (sizeof("{'time':'.','level':''") + STAMP_SECONDS_SIZE + 9 + 6 + LEVEL_TEXT_MAX)

static inline __attribute__((always_inline)) void put_head(struct out *out,
                                                           const struct record *record)
{
    ENSURE(out_room(out) >= HEAD_MAX + sizeof record->stamp->offset); /* RECORD_CAPACITY_MIN */
    const struct stamp *stamp = record->stamp;
    char *at = out->at;
    memcpy(at, "{\"time\":\"", 9);
    memcpy(at + 9, stamp->seconds, STAMP_SECONDS_SIZE);
    at += 9 + STAMP_SECONDS_SIZE;
    *at++ = '.';
    number_nine(at, stamp->ns);
    at += 9;
    memcpy(at, stamp->offset, sizeof stamp->offset);
    at += stamp->offset_size;
    memcpy(at, "\",\"level\":\"", 11);
    at += 11;
    at += level_format(at, record->level);
    *at++ = '"';
    out->at = at;
}

/* Names longer than this are cut: they come from a compiler or a binding, not from a user. */
#define SOURCE_NAME_MAX 240

static __attribute__((noinline)) struct out put_source(struct out given,
                                                       const struct srun_source *source)
{
    struct out *out = &given;
    (void)OUT_LITERAL(out, ",\"source\":{\"function\":");
    put_string(out, source->function, strnlen(source->function, SOURCE_NAME_MAX));
    (void)OUT_LITERAL(out, ",\"file\":");
    put_string(out, source->file, strnlen(source->file, SOURCE_NAME_MAX));
    (void)OUT_LITERAL(out, ",\"line\":");
    char line[NUMBER_MAX];
    (void)out_put(out, line, number_int(line, source->line));
    (void)OUT_LITERAL(out, "}");
    return given;
}

static __attribute__((noinline)) struct out put_lost(struct out out, uint64_t lost)
{
    json_attrs(&out, SRUN_KVS(SRUN_UINT("lost", lost)));
    return out;
}

void json_record(struct out *into, const struct record *record)
{
    struct out local = out_borrow(into), *out = &local;
    put_head(out, record);
    if (record->source != NULL)
        local = put_source(local, record->source);

    /* A message, however long, leaves room for what the logger itself has to say. */
    size_t kept = record->prefix_size + record->ids_size +
                  (record->lost > 0 ? sizeof(",\"lost\":") + NUMBER_MAX : 0);
    kept = kept < out_room(out) / 2 ? kept : out_room(out) / 2;
    out->limit -= kept;
    (void)OUT_LITERAL(out, ",\"msg\":");
    put_string(out, record->message, record->message_size);
    out->limit += kept;

    bool cut = out->cut;
    out->cut = false;
    if (record->lost > 0)
        local = put_lost(local, record->lost);
    if (record->prefix_size > 0)
        (void)out_put(out, record->prefix, record->prefix_size);
    if (record->ids_size > 0)
        (void)out_put(out, record->ids, record->ids_size);
    out->cut = out->cut || cut;
    put_attrs(out, record->kvs);
    if (out->cut)
        OUT_TAIL(out, MARK);
    OUT_TAIL(out, "}\n");
    out_return(into, &local);
}
