/* SPDX-License-Identifier: MIT
 *
 * The text form of a record. PURE: any thread, no allocation, no locale.
 *
 * Keys and values are quoted by slog's rule: when empty, and when anything in them is a space, a
 * '=', a '"', or does not print. Inside quotes everything that does not print is escaped, as Go's
 * strconv.Quote does, so a value can neither end its line nor drive a terminal. One thing differs
 * from slog: a value with a DEL in it is quoted and escaped too.
 */
#include "log/text.h"

#include "base/duration.h"
#include "base/ensure.h"
#include "base/number.h"
#include "base/text.h"
#include "log/level.h"
#include "log/plain.h"
#include "log/rune.h"

#define MARK " truncated=true"

_Static_assert(sizeof("\"" MARK "\n") <= OUT_RESERVE, "the reserve holds the tail");

/* Bytes that need no quotes: printable ASCII but space, '"' and '='. A backslash alone needs none.
 */
static inline bool is_bare(unsigned char byte)
{
    return (unsigned char)(byte - '!') < 0x7f - '!' && byte != '"' && byte != '=';
}

static bool needs_quotes(const char *text, size_t size)
{
    if (size == 0)
        return true;
    for (size_t i = 0; i < size;) {
        uint32_t rune;
        if ((unsigned char)text[i] < 0x80) {
            if (!is_bare((unsigned char)text[i++]))
                return true;
            continue;
        }
        i += text_rune(text + i, size - i, &rune);
        if (rune == TEXT_NO_RUNE || rune == 0xfffd || !rune_prints(rune))
            return true;
    }
    return false;
}

static size_t put_hex(char *at, char letter, uint32_t value, int digits)
{
    at[0] = '\\';
    at[1] = letter;
    for (int i = digits; i > 0; i--, value >>= 4)
        at[1 + i] = "0123456789abcdef"[value & 15];
    return (size_t)digits + 2;
}

/* One rune as it stands between quotes. */
static size_t escape(char at[12], const char *text, size_t size, uint32_t rune)
{
    static const char letters[] = "abtnvfr"; /* for the bytes 7 to 13 */

    if (rune == TEXT_NO_RUNE)
        return put_hex(at, 'x', (unsigned char)*text, 2);
    if (rune == '"' || rune == '\\' || (rune >= 7 && rune <= 13)) {
        at[0] = '\\';
        at[1] = rune <= 13 ? letters[rune - 7] : (char)rune;
        return 2;
    }
    if (rune_prints(rune)) {
        memcpy(at, text, size);
        return size;
    }
    if (rune < 0x80)
        return put_hex(at, 'x', rune, 2);
    return rune < 0x10000 ? put_hex(at, 'u', rune, 4) : put_hex(at, 'U', rune, 8);
}

static __attribute__((noinline)) struct out put_quoted(struct out given, const char *text,
                                                       size_t size)
{
    struct out *out = &given;
    if (!OUT_LITERAL(out, "\""))
        return given;
    for (size_t i = 0; i < size && !out->cut;) {
        size_t room = out_room(out);
        size_t run = plain_copy(out->at, text + i, size - i < room ? size - i : room);
        out->at += run;
        i += run;
        if (i == size)
            break;
        char piece[12];
        uint32_t rune;
        size_t taken = text_rune(text + i, size - i, &rune);
        (void)out_put(out, piece, escape(piece, text + i, taken, rune));
        i += taken;
    }
    OUT_TAIL(out, "\"");
    return given;
}

/* A string whose first `bare` bytes need no quotes. What is too long for the buffer goes the quoted
 * way, which knows where to cut. */
static __attribute__((noinline)) struct out put_rest(struct out out, const char *text, size_t size,
                                                     size_t bare)
{
    if (size > out_room(&out) || needs_quotes(text + bare, size - bare))
        return put_quoted(out, text, size);
    (void)out_put(&out, text, size);
    return out;
}

/* Bare bytes are copied while they are looked at; the first other one decides what to do with the
 * whole. */
static inline __attribute__((always_inline)) void put_string(struct out *out, const char *text,
                                                             size_t size)
{
    size_t bare = size <= out_room(out) ? bare_copy(out->at, text, size) : 0;
    if (bare == size && size > 0)
        out->at += size;
    else
        *out = put_rest(*out, text, size, bare);
}

static inline __attribute__((always_inline)) void put_text(struct out *out, const char *text)
{
    if (text == NULL)
        (void)OUT_LITERAL(out, "<nil>");
    else
        put_string(out, text, strnlen(text, out_room(out) + 1));
}

static __attribute__((noinline)) struct out put_bytes(struct out out, const char *data, size_t size)
{
    if (data != NULL)
        put_string(&out, data, size);
    else if (size == 0)
        out = put_quoted(out, "", 0);
    else
        (void)OUT_LITERAL(&out, "<nil>");
    return out;
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
    _Static_assert(DURATION_TEXT_MAX <= NUMBER_MAX, "one bound for all");
    if (kv->type == SRUN_KV_STR) {
        put_text(out, kv->value.str);
        return;
    }
    if (!out_fits(out, NUMBER_MAX))
        return;
    switch (kv->type) {
    case SRUN_KV_INT:
        out->at += number_int(out->at, kv->value.i);
        break;
    case SRUN_KV_UINT:
        out->at += number_uint(out->at, kv->value.u);
        break;
    case SRUN_KV_DOUBLE:
        out->at += number_double_text(out->at, kv->value.d);
        break;
    case SRUN_KV_DURATION:
        out->at += duration_format(out->at, kv->value.i);
        break;
    case SRUN_KV_BOOL:
        memcpy(out->at, kv->value.i != 0 ? "true " : "false", 5);
        out->at += kv->value.i != 0 ? 4 : 5;
        break;
    case SRUN_KV_BYTES:
        *out = put_bytes(*out, kv->value.str, kv->size);
        break;
    case SRUN_KV_ERRNO:
        *out = put_code(*out, kv->value.i);
        break;
    default:
        (void)OUT_LITERAL(out, "<nil>"); /* a type this library does not know */
        break;
    }
}

/* " key=" */
static inline __attribute__((always_inline)) void put_key(struct out *out, const struct srun_kv *kv)
{
    const char *key = kv->key != NULL ? kv->key : "";
    if (!OUT_LITERAL(out, " "))
        return;
    put_string(out, key, kv->key_size > 0 ? kv->key_size : strnlen(key, out_room(out) + 1));
    (void)OUT_LITERAL(out, "=");
}

/* An attribute without a whole key, or without anything of its value, is taken back. */
static inline __attribute__((always_inline)) void put_attr(struct out *out,
                                                           const struct srun_kv *kv)
{
    char *before = out->at;
    put_key(out, kv);
    char *value = out->at;
    if (out->cut) {
        out->at = before;
        return;
    }
    put_value(out, kv);
    if (out->cut && out->at == value)
        out->at = before;
}

static inline __attribute__((always_inline)) void put_attrs(struct out *out,
                                                            const struct srun_kv *kvs)
{
    if (kvs == NULL)
        return;
    for (; kvs->type != SRUN_KV_END && !out->cut; kvs++)
        put_attr(out, kvs);
}

void text_attrs(struct out *out, const struct srun_kv *kvs)
{
    struct out local = out_borrow(out);
    put_attrs(&local, kvs);
    out_return(out, &local);
}

#define HEAD_MAX (sizeof("time=. level=") + STAMP_SECONDS_SIZE + 3 + 6 + LEVEL_TEXT_MAX)

static inline __attribute__((always_inline)) void put_head(struct out *out,
                                                           const struct record *record)
{
    ENSURE(out_room(out) >= HEAD_MAX + sizeof record->stamp->offset); /* RECORD_CAPACITY_MIN */
    const struct stamp *stamp = record->stamp;
    char *at = out->at;
    memcpy(at, "time=", 5);
    memcpy(at + 5, stamp->seconds, STAMP_SECONDS_SIZE);
    at += 5 + STAMP_SECONDS_SIZE;
    *at++ = '.';
    number_padded(at, stamp->ns / 1000000, 3);
    at += 3;
    memcpy(at, stamp->offset, sizeof stamp->offset);
    at += stamp->offset_size;
    memcpy(at, " level=", 7);
    at += 7;
    out->at = at + level_format(at, record->level);
}

static __attribute__((noinline)) struct out put_source(struct out out,
                                                       const struct srun_source *source)
{
    char text[512];
    size_t size = strnlen(source->file, sizeof text - NUMBER_MAX - 1);
    memcpy(text, source->file, size);
    text[size++] = ':';
    size += number_int(text + size, source->line);
    (void)OUT_LITERAL(&out, " source=");
    put_string(&out, text, size);
    return out;
}

static __attribute__((noinline)) struct out put_lost(struct out out, uint64_t lost)
{
    text_attrs(&out, SRUN_KVS(SRUN_UINT("lost", lost)));
    return out;
}

void text_record(struct out *into, const struct record *record)
{
    struct out local = out_borrow(into), *out = &local;
    put_head(out, record);
    if (record->source != NULL)
        local = put_source(local, record->source);

    /* A message, however long, leaves room for what the logger itself has to say. */
    size_t kept = record->prefix_size + record->ids_size +
                  (record->lost > 0 ? sizeof(" lost=") + NUMBER_MAX : 0);
    kept = kept < out_room(out) / 2 ? kept : out_room(out) / 2;
    out->limit -= kept;
    (void)OUT_LITERAL(out, " msg=");
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
    OUT_TAIL(out, "\n");
    out_return(into, &local);
}
