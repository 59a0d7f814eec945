/* SPDX-License-Identifier: MIT
 *
 * What is kept of a set is, key by key in order: a word of the type and both sizes, the key, its
 * NUL, the value, its NUL. To look one up nothing is copied: short texts are read as two words that
 * may overlap, for the hash as for the comparison.
 */
#include "telemetry/labels.h"

#include "base/number.h"
#include "base/text.h"

#include <srun/error.h>
#include <string.h>

enum tag { TAG_TEXT = 1, TAG_INT, TAG_UINT, TAG_DOUBLE, TAG_BOOL };

/* --- words ----------------------------------------------------------------------------------- */

static inline uint64_t load64(const void *from)
{
    uint64_t word;
    memcpy(&word, from, 8);
    return word;
}

static inline uint32_t load32(const void *from)
{
    uint32_t word;
    memcpy(&word, from, 4);
    return word;
}

struct words {
    uint64_t first, last;
};

/* All bytes of a text of at most 16; two texts of one size differ in them when they differ. */
static inline struct words words_of(const void *text, size_t size)
{
    const unsigned char *at = text;
    if (size >= 8)
        return (struct words){load64(at), load64(at + size - 8)};
    if (size >= 4)
        return (struct words){load32(at), load32(at + size - 4)};
    if (size > 0)
        return (struct words){(uint64_t)at[0] << 16 | (uint64_t)at[size / 2] << 8 | at[size - 1],
                              0};
    return (struct words){0, 0};
}

static inline bool same_text(const void *a, const void *b, size_t size)
{
    if (size > 16)
        return memcmp(a, b, size) == 0;
    struct words x = words_of(a, size), y = words_of(b, size);
    return x.first == y.first && x.last == y.last;
}

/* The first eight bytes, the first one on top, zeros behind a shorter text. */
static inline uint64_t prefix_of(const char *key, size_t size)
{
    const unsigned char *at = (const unsigned char *)key;
    if (size >= 8)
        return __builtin_bswap64(load64(at));
    if (size >= 4) {
        uint64_t high = __builtin_bswap32(load32(at)),
                 low = __builtin_bswap32(load32(at + size - 4));
        return high << 32 | (uint32_t)(low << 8 * (8 - size));
    }
    uint64_t prefix = (uint64_t)at[0] << 56;
    prefix |= size > 1 ? (uint64_t)at[1] << 48 : 0;
    return prefix | (size > 2 ? (uint64_t)at[2] << 40 : 0);
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ typedef unsigned __int128 wide;
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* --- one attribute --------------------------------------------------------------------------- */

static inline size_t key_size_of(uint64_t head)
{
    return (size_t)(head >> 32) & 0xffffff;
}

static inline size_t value_size_of(uint64_t head)
{
    return (size_t)(head & 0xffffffff);
}

static inline enum tag tag_of(uint64_t head)
{
    return (enum tag)(head >> 56);
}

static inline const void *value_of(const struct labels_item *item)
{
    return item->value != NULL ? item->value : &item->number;
}

static inline void set_text(struct labels_item *item, const char *text, size_t size)
{
    item->value = text != NULL ? text : "";
    item->head |= (uint64_t)TAG_TEXT << 56 | (size < LABELS_SIZE_MAX ? size : LABELS_SIZE_MAX);
}

static inline void set_number(struct labels_item *item, enum tag tag, uint64_t number)
{
    item->value = NULL;
    item->number = number;
    item->head |= (uint64_t)tag << 56 | 8;
}

static inline void set_value(struct labels_item *item, const struct srun_kv *kv)
{
    const char *text = kv->value.str;
    switch (kv->type) {
    case SRUN_KV_STR:
        set_text(item, text, text != NULL ? strlen(text) : 0);
        break;
    case SRUN_KV_BYTES:
        set_text(item, text, text != NULL ? kv->size : 0);
        break;
    case SRUN_KV_ERRNO:
        text = srun_strerror((int)(kv->value.i > 0 ? -kv->value.i : kv->value.i));
        set_text(item, text, strlen(text));
        break;
    case SRUN_KV_UINT:
        set_number(item, kv->value.u > INT64_MAX ? TAG_UINT : TAG_INT, kv->value.u);
        break;
    case SRUN_KV_DOUBLE:
        set_number(item, TAG_DOUBLE, load64(&kv->value.d));
        break;
    case SRUN_KV_BOOL:
        set_number(item, TAG_BOOL, kv->value.i != 0);
        break;
    default: /* SRUN_KV_INT, SRUN_KV_DURATION */
        set_number(item, TAG_INT, (uint64_t)kv->value.i);
        break;
    }
}

/* --- in order -------------------------------------------------------------------------------- */

static inline int compare(const struct labels_item *a, const struct labels_item *b)
{
    if (a->prefix != b->prefix)
        return a->prefix < b->prefix ? -1 : 1;
    size_t x = key_size_of(a->head), y = key_size_of(b->head), least = x < y ? x : y;
    int order = least > 8 ? memcmp(a->key + 8, b->key + 8, least - 8) : 0;
    return order != 0 ? order : (x > y) - (x < y);
}

static inline size_t size_of_key(const struct srun_kv *kv)
{
    return kv->key_size > 0 ? kv->key_size : kv->key != NULL ? strlen(kv->key) : 0;
}

static bool is_kept(const struct srun_kv *kv, size_t size, const char *const *keep)
{
    for (; *keep != NULL; keep++)
        if (strncmp(*keep, kv->key, size) == 0 && (*keep)[size] == '\0')
            return true;
    return false;
}

/* Puts the item behind those that are there where its key belongs. Returns their number then. */
static inline unsigned insert(struct labels_item *items, unsigned count,
                              const struct labels_item *item)
{
    unsigned place = count;
    int order = -1;
    while (place > 0 && (order = compare(&items[place - 1], item)) > 0)
        place--;
    if (place > 0 && order == 0) {
        items[place - 1] = *item; /* the last one counts */
        return count;
    }
    for (unsigned i = count; i > place; i--)
        items[i] = items[i - 1];
    items[place] = *item;
    return count + 1;
}

/* Odd, and half of their bits set. Anybody may know them, so no factor of a product is made of them
 * and of a text alone: who chose a text that makes it zero would choose the hash. */
#define ODD_1 UINT64_C(0xa0761d6478bd642f)
#define ODD_2 UINT64_C(0xe7037ed1a0b428db)
#define ODD_3 UINT64_C(0x8ebc6af09c88c6e3)

/* Two numbers that who chooses attributes does not know. */
struct secrets {
    uint64_t one, other;
};

static inline uint64_t hash_text(const void *text, size_t size, struct secrets secrets)
{
    const unsigned char *at = text;
    uint64_t hash = secrets.other;
    for (; size > 16; at += 16, size -= 16)
        hash = mix(load64(at) ^ secrets.one, load64(at + 8) ^ hash);
    struct words words = words_of(at, size);
    return mix(words.first ^ secrets.one ^ ODD_3, words.last ^ hash);
}

bool labels_read(struct labels *labels, const struct srun_kv *kvs, const char *const *keep,
                 uint64_t seed)
{
    unsigned count = 0;
    for (const struct srun_kv *kv = kvs; kv != NULL && kv->type != SRUN_KV_END; kv++) {
        size_t size = size_of_key(kv);
        if (size == 0 || (keep != NULL && !is_kept(kv, size, keep)))
            continue;
        if (count == LABELS_MAX || size >= LABELS_SIZE_MAX)
            return false;
        struct labels_item item = {
            .key = kv->key, .prefix = prefix_of(kv->key, size), .head = (uint64_t)size << 32};
        set_value(&item, kv);
        if (value_size_of(item.head) >= LABELS_SIZE_MAX)
            return false;
        count = insert(labels->items, count, &item);
    }
    const struct secrets secrets = {mix(seed ^ ODD_1, ODD_2), seed};
    uint64_t hash = seed;
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct labels_item *item = &labels->items[i];
        size_t key_size = key_size_of(item->head), value_size = value_size_of(item->head);
        uint64_t key = hash_text(item->key, key_size, secrets);
        uint64_t value = item->value != NULL ? hash_text(item->value, value_size, secrets)
                                             : mix(item->number ^ secrets.one, seed ^ ODD_3);
        hash = mix(hash ^ key, value ^ item->head);
        size += 8 + key_size + 1 + value_size + 1;
    }
    labels->hash = hash;
    labels->size = size;
    labels->count = count;
    return size <= LABELS_SIZE_MAX;
}

bool labels_others(const struct srun_kv *kvs, const char *const *keep,
                   struct srun_kv out[LABELS_MAX + 1])
{
    size_t count = 0;
    for (const struct srun_kv *kv = kvs; kv->type != SRUN_KV_END; kv++) {
        size_t size = size_of_key(kv);
        if (size == 0 || is_kept(kv, size, keep))
            continue;
        if (count == LABELS_MAX)
            return false;
        out[count++] = *kv;
    }
    out[count] = (struct srun_kv){.type = SRUN_KV_END};
    return true;
}

void labels_keep(const struct labels *labels, unsigned char *out)
{
    for (unsigned i = 0; i < labels->count; i++) {
        const struct labels_item *item = &labels->items[i];
        size_t key_size = key_size_of(item->head), size = value_size_of(item->head);
        memcpy(out, &item->head, 8);
        memcpy(out + 8, item->key, key_size);
        out[8 + key_size] = '\0';
        memcpy(out + 9 + key_size, value_of(item), size);
        out[9 + key_size + size] = '\0';
        out += 8 + key_size + 1 + size + 1;
    }
}

bool labels_are(const struct labels *labels, const unsigned char *kept)
{
    for (unsigned i = 0; i < labels->count; i++) {
        const struct labels_item *item = &labels->items[i];
        size_t key_size = key_size_of(item->head), size = value_size_of(item->head);
        if (load64(kept) != item->head || !same_text(kept + 8, item->key, key_size) ||
            (item->value != NULL ? !same_text(kept + 9 + key_size, item->value, size)
                                 : load64(kept + 9 + key_size) != item->number))
            return false;
        kept += 8 + key_size + 1 + size + 1;
    }
    return true;
}

/* --- and back -------------------------------------------------------------------------------- */

static struct srun_kv read_text(const char *key, const char *value, size_t size)
{
    bool plain = memchr(value, '\0', size) == NULL;
    return (struct srun_kv){.key = key,
                            .type = plain ? SRUN_KV_STR : SRUN_KV_BYTES,
                            .value.str = value,
                            .size = plain ? 0 : size};
}

void labels_list(const unsigned char *data, unsigned count, struct srun_kv *out)
{
    static const enum srun_kv_type types[] = {[TAG_INT] = SRUN_KV_INT,
                                              [TAG_UINT] = SRUN_KV_UINT,
                                              [TAG_DOUBLE] = SRUN_KV_DOUBLE,
                                              [TAG_BOOL] = SRUN_KV_BOOL};
    for (unsigned i = 0; i < count; i++) {
        uint64_t head = load64(data);
        size_t key_size = key_size_of(head), size = value_size_of(head);
        const char *key = (const char *)data + 8, *value = key + key_size + 1;
        enum tag tag = tag_of(head);
        if (tag == TAG_TEXT)
            out[i] = read_text(key, value, size);
        else
            out[i] = (struct srun_kv){.key = key, .type = types[tag], .value.u = load64(value)};
        out[i].key_size = (unsigned)key_size;
        data += 8 + key_size + 1 + size + 1;
    }
    out[count] = (struct srun_kv){.type = SRUN_KV_END};
}

/* --- as Prometheus writes it ----------------------------------------------------------------- */

static void escape(struct buf *out, const char *value, size_t size)
{
    size_t plain = 0;
    for (size_t i = 0; i < size; i++) {
        const char *as = value[i] == '\\'   ? "\\\\"
                         : value[i] == '"'  ? "\\\""
                         : value[i] == '\n' ? "\\n"
                         : value[i] == '\0' ? "\xef\xbf\xbd"
                                            : NULL;
        if (as == NULL)
            continue;
        buf_add(out, value + plain, i - plain);
        buf_text(out, as);
        plain = i + 1;
    }
    buf_add(out, value + plain, size - plain);
}

void labels_value(struct buf *out, const char *value, size_t size)
{
    while (size > 0) {
        size_t valid = text_utf8_until(value, size);
        escape(out, value, valid);
        if (valid == size)
            return;
        buf_text(out, "\xef\xbf\xbd");
        value += valid + 1;
        size -= valid + 1;
    }
}

static char name_byte(char c)
{
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    return (char)(letter || (c >= '0' && c <= '9') ? c : '_');
}

/* What comes before the bytes of a key: a name begins with no digit, and some have a meaning that
 * we or Prometheus give them. */
static const char *lead_of(const struct srun_kv *kv)
{
    static const char scope[] = "otel_scope_";
    char name[sizeof scope] = "";
    if (kv->key[0] >= '0' && kv->key[0] <= '9')
        return "key_";
    size_t size = kv->key_size < sizeof name - 1 ? kv->key_size : sizeof name - 1;
    for (size_t i = 0; i < size; i++)
        name[i] = name_byte(kv->key[i]);
    bool whole = size == kv->key_size;
    bool taken = (whole && (strcmp(name, "le") == 0 || strcmp(name, "quantile") == 0)) ||
                 strcmp(name, scope) == 0 || strncmp(name, "__", 2) == 0;
    return taken ? "exported_" : "";
}

static char name_at(const struct srun_kv *kv, const char *lead, size_t size, size_t at)
{
    return at < size ? lead[at] : name_byte(kv->key[at - size]);
}

/* As they are written: "le" is "exported_le" then, and so may be another one. */
static bool same_name(const struct srun_kv *a, const struct srun_kv *b)
{
    const char *lead_a = lead_of(a), *lead_b = lead_of(b);
    size_t x = strlen(lead_a), y = strlen(lead_b), size = x + a->key_size;
    if (size != y + b->key_size)
        return false;
    for (size_t i = 0; i < size; i++)
        if (name_at(a, lead_a, x, i) != name_at(b, lead_b, y, i))
            return false;
    return true;
}

static void name_text(struct buf *out, const struct srun_kv *kv)
{
    buf_text(out, lead_of(kv));
    for (unsigned i = 0; i < kv->key_size; i++) {
        char byte = name_byte(kv->key[i]);
        buf_add(out, &byte, 1);
    }
}

static void value_text(struct buf *out, const struct srun_kv *kv)
{
    char number[NUMBER_MAX];
    switch (kv->type) {
    case SRUN_KV_STR:
        labels_value(out, kv->value.str, strlen(kv->value.str));
        break;
    case SRUN_KV_BYTES:
        labels_value(out, kv->value.str, kv->size);
        break;
    case SRUN_KV_UINT:
        buf_add(out, number, number_uint(number, kv->value.u));
        break;
    case SRUN_KV_DOUBLE:
        buf_add(out, number, number_double_text(number, kv->value.d));
        break;
    case SRUN_KV_BOOL:
        buf_text(out, kv->value.i != 0 ? "true" : "false");
        break;
    default:
        buf_add(out, number, number_int(number, kv->value.i));
        break;
    }
}

static bool is_told(const struct srun_kv *kvs, const struct srun_kv *kv)
{
    for (; kvs < kv; kvs++)
        if (same_name(kvs, kv))
            return true;
    return false;
}

void labels_text(struct buf *out, const struct srun_kv *kvs)
{
    const char *comma = "";
    for (const struct srun_kv *kv = kvs; kv->type != SRUN_KV_END; kv++) {
        if (is_told(kvs, kv))
            continue;
        buf_text(out, comma);
        comma = ",";
        name_text(out, kv);
        buf_text(out, "=\"");
        value_text(out, kv);
        for (const struct srun_kv *next = kv + 1; next->type != SRUN_KV_END; next++)
            if (same_name(kv, next)) {
                buf_text(out, ";");
                value_text(out, next);
            }
        buf_text(out, "\"");
    }
}
