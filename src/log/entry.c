/* SPDX-License-Identifier: MIT */
#include "log/entry.h"

#include "base/duration.h"
#include "base/ensure.h"
#include "base/number.h"
#include "base/text.h"

#define NAME_MAX_BYTES 64
#define LENGTH_SIZE 8
#define MARK "TRUNCATED=true\n"

_Static_assert(sizeof MARK <= OUT_RESERVE, "the reserve holds the mark");

/* --- names ----------------------------------------------------------------------------------- */

struct name {
    char text[NAME_MAX_BYTES];
    size_t size;
};

static bool is_letter(char c)
{
    return c >= 'A' && c <= 'Z';
}

static char name_char(char c)
{
    if (c >= 'a' && c <= 'z')
        return (char)(c - 'a' + 'A');
    return is_letter(c) || (c >= '0' && c <= '9') ? c : '_';
}

static bool begins_with(const struct name *name, const char *text)
{
    size_t size = strlen(text);
    return name->size >= size && memcmp(name->text, text, size) == 0;
}

/* Those that the journal acts upon, and those that stand in each entry. */
static bool is_taken(const struct name *name)
{
    static const char *const whole[] = {"MESSAGE",  "PRIORITY", "LOST",        "TRUNCATED",
                                        "TRACE_ID", "SPAN_ID",  "LOGGER_SCOPE"};
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        if (name->size == strlen(whole[i]) && begins_with(name, whole[i]))
            return true;
    return begins_with(name, "SYSLOG_") || begins_with(name, "CODE_") ||
           begins_with(name, "OBJECT_") || begins_with(name, "COREDUMP_");
}

static void append(struct name *name, const char *key, size_t size)
{
    for (size_t i = 0; i < size && name->size < NAME_MAX_BYTES; i++)
        name->text[name->size++] = name_char(key[i]);
}

static void make_name(struct name *name, const struct srun_kv *kv)
{
    const char *key = kv->key != NULL ? kv->key : "";
    size_t size = kv->key_size > 0 ? kv->key_size : strnlen(key, NAME_MAX_BYTES);
    name->size = 0;
    append(name, key, size);
    if (name->size > 0 && is_letter(name->text[0]) && !is_taken(name))
        return;
    name->size = 0;
    append(name, "X_", 2);
    append(name, key, size);
}

/* --- fields ---------------------------------------------------------------------------------- */

static bool is_plain(const char *value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if ((unsigned char)value[i] < ' ')
            return false;
    return true;
}

static void put_length(struct out *out, uint64_t size)
{
    char bytes[LENGTH_SIZE];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (char)(size >> (8 * i) & 0xff);
    (void)out_put(out, bytes, sizeof bytes);
}

static void put_field(struct out *out, const char *name, size_t name_size, const char *value,
                      size_t size)
{
    bool plain = is_plain(value, size);
    size_t frame = name_size + 2 + (plain ? 0 : LENGTH_SIZE);
    if (out->cut || !out_fits(out, frame))
        return;
    size_t taken = text_fitting(value, size, out_room(out) - frame);
    if (taken == 0 && size > 0) {
        out->cut = true;
        return;
    }
    (void)out_put(out, name, name_size);
    (void)out_put(out, plain ? "=" : "\n", 1);
    if (!plain)
        put_length(out, taken);
    (void)out_put(out, value, taken);
    (void)out_put(out, "\n", 1);
    out->cut = taken < size;
}

#define PUT(out, name, value, size) put_field((out), (name), sizeof(name) - 1, (value), (size))

static void put_text(struct out *out, const struct name *name, const char *text)
{
    text = text != NULL ? text : "<nil>";
    put_field(out, name->text, name->size, text, strnlen(text, out_room(out) + 1));
}

static void put_attr(struct out *out, const struct srun_kv *kv)
{
    _Static_assert(DURATION_TEXT_MAX <= ERRNO_TEXT_MAX && NUMBER_MAX <= ERRNO_TEXT_MAX, "fits all");
    char text[ERRNO_TEXT_MAX];
    size_t size = 0;
    struct name name;
    make_name(&name, kv);
    switch (kv->type) {
    case SRUN_KV_STR:
        put_text(out, &name, kv->value.str);
        return;
    case SRUN_KV_BYTES:
        if (kv->value.str != NULL)
            put_field(out, name.text, name.size, kv->value.str, kv->size);
        else
            put_text(out, &name, kv->size > 0 ? NULL : "");
        return;
    case SRUN_KV_INT:
        size = number_int(text, kv->value.i);
        break;
    case SRUN_KV_UINT:
        size = number_uint(text, kv->value.u);
        break;
    case SRUN_KV_DOUBLE:
        size = number_double_text(text, kv->value.d);
        break;
    case SRUN_KV_DURATION:
        size = duration_format(text, kv->value.i);
        break;
    case SRUN_KV_BOOL:
        put_text(out, &name, kv->value.i != 0 ? "true" : "false");
        return;
    case SRUN_KV_ERRNO:
        size = record_errno_text(text, kv->value.i);
        break;
    default: /* a type this library does not know */
        put_text(out, &name, NULL);
        return;
    }
    put_field(out, name.text, name.size, text, size);
}

static void put_attrs(struct out *out, const struct srun_kv *kvs)
{
    for (; kvs != NULL && kvs->type != SRUN_KV_END && !out->cut; kvs++)
        put_attr(out, kvs);
}

static void put_number(struct out *out, const char *name, uint64_t number)
{
    char text[NUMBER_MAX];
    put_field(out, name, strlen(name), text, number_uint(text, number));
}

/* Names longer than this are cut: they come from a compiler or a binding, not from a user. */
#define SOURCE_NAME_MAX 240

static void put_source(struct out *out, const struct srun_source *source)
{
    PUT(out, "CODE_FILE", source->file, strnlen(source->file, SOURCE_NAME_MAX));
    put_number(out, "CODE_LINE", source->line > 0 ? (uint64_t)source->line : 0);
    PUT(out, "CODE_FUNC", source->function, strnlen(source->function, SOURCE_NAME_MAX));
}

/* As syslog numbers them. */
static uint64_t priority_of(int level)
{
    return level >= SRUN_LEVEL_ERROR  ? 3
           : level >= SRUN_LEVEL_WARN ? 4
           : level >= SRUN_LEVEL_INFO ? 6
                                      : 7;
}

void entry_encode(struct out *out, const struct journal_entry *entry)
{
    const struct record *record = entry->record;
    put_number(out, "PRIORITY", priority_of(record->level));
    PUT(out, "SYSLOG_IDENTIFIER", entry->identifier, strlen(entry->identifier));
    if (entry->source != NULL)
        put_source(out, entry->source);
    if (entry->trace_id != NULL)
        PUT(out, "TRACE_ID", entry->trace_id, strlen(entry->trace_id));
    if (entry->span_id != NULL)
        PUT(out, "SPAN_ID", entry->span_id, strlen(entry->span_id));
    if (record->lost > 0)
        put_number(out, "LOST", record->lost);
    if (entry->scope != NULL)
        PUT(out, "LOGGER_SCOPE", entry->scope, strlen(entry->scope));
    put_attrs(out, entry->own);
    PUT(out, "MESSAGE", record->message, record->message_size);
    put_attrs(out, record->kvs);
    if (out->cut)
        OUT_TAIL(out, MARK);
}
