/* SPDX-License-Identifier: MIT
 *
 * Messages as bytes and back. PURE: any thread, no clock, no I/O, no allocation.
 *
 *     head:   "SRUN"  version of the head, 2 bytes  type, 2 bytes
 *     field:  tag, 2 bytes  length, 2 bytes  value
 *     entry:  a field whose value is fields again, with tags of their own
 *
 * Two tables say all there is to say: what a field looks like, and which fields a message has. Both
 * directions go by them, so what is sent is what is accepted. A tag is never given to another field
 * and never changes its form; a new one is skipped by builds that do not know it.
 */
#include "upgrade/handover.h"

#include "base/text.h"

#include <errno.h>
#include <string.h>

static const unsigned char magic[4] = {'S', 'R', 'U', 'N'};

enum { HEAD_VERSION = 1, HEAD_SIZE = sizeof magic + 4, FIELD_HEAD_SIZE = 4 };

/* --- the tables ------------------------------------------------------------------------------ */

/* Of a message. */
enum tag {
    VERSION_MIN = 1,
    VERSION_MAX,
    PID,
    GENERATION,
    COUNT,
    EXTEND,
    NAME,
    VERSION,
    BUILD,
    TEXT,
    BLOCKED,
    IGNORED,
    UMASK,
    LIMITS,
    ENTRY_COUNT,
    ENTRY = 31 /* the only one that is repeated, and the last there can be */
};

enum entry_tag { E_NAME = 1, E_ADDRESS, E_KIND, E_INDEX, E_OUTSIDE, E_DEVICE, E_INODE };

struct field {
    enum shape {
        NUMBER, /* or an array of them */
        LABEL,  /* printable, or refused */
        PROSE   /* for a log: what does not print becomes '?' */
    } shape;
    size_t offset, size;  /* of the member */
    size_t width;         /* of one number */
    uint64_t least, most; /* a number; the bytes of a text */
};

#define IN(type, member) offsetof(struct type, member), sizeof(((struct type *)0)->member)
#define DESCRIPTORS_MAX (1U << 20) /* what a system allows if nobody has changed it */

static const struct field message_fields[] = {
    [VERSION_MIN] = {NUMBER, IN(handover_message, version_min), 4, 1, UINT32_MAX},
    [VERSION_MAX] = {NUMBER, IN(handover_message, version_max), 4, 1, UINT32_MAX},
    [PID] = {NUMBER, IN(handover_message, pid), 4, 1, INT32_MAX},
    [GENERATION] = {NUMBER, IN(handover_message, generation), 4, 1, INT32_MAX},
    [COUNT] = {NUMBER, IN(handover_message, count), 4, 0, DESCRIPTORS_MAX},
    [EXTEND] = {NUMBER, IN(handover_message, extend_ns), 8, 0, INT64_MAX},
    [NAME] = {LABEL, IN(handover_message, name), 1, 1, HANDOVER_NAME_MAX - 1},
    [VERSION] = {LABEL, IN(handover_message, version), 1, 0, HANDOVER_NAME_MAX - 1},
    [BUILD] = {LABEL, IN(handover_message, build), 1, 0, HANDOVER_NAME_MAX - 1},
    [TEXT] = {PROSE, IN(handover_message, text), 1, 0, HANDOVER_TEXT_MAX - 1},
    [BLOCKED] = {NUMBER, IN(handover_message, boot.blocked), 8, 0, UINT64_MAX},
    [IGNORED] = {NUMBER, IN(handover_message, boot.ignored), 8, 0, UINT64_MAX},
    [UMASK] = {NUMBER, IN(handover_message, boot.umask), 4, 0, 0777},
    [LIMITS] = {NUMBER, IN(handover_message, boot.limits), 8, 0, UINT64_MAX},
    [ENTRY_COUNT] = {NUMBER, IN(handover_message, entry_count), 4, 1, HANDOVER_BATCH_MAX},
};

static const struct field entry_fields[] = {
    [E_NAME] = {LABEL, IN(handover_entry, name), 1, 1, HANDOVER_NAME_MAX - 1},
    [E_ADDRESS] = {LABEL, IN(handover_entry, address), 1, 0, HANDOVER_ADDRESS_MAX - 1},
    [E_KIND] = {NUMBER, IN(handover_entry, kind), 4, HANDOVER_LISTENER, HANDOVER_STATE},
    [E_INDEX] = {NUMBER, IN(handover_entry, index), 4, 0, DESCRIPTORS_MAX},
    [E_OUTSIDE] = {NUMBER, IN(handover_entry, outside), 4, 0, 1},
    [E_DEVICE] = {NUMBER, IN(handover_entry, device), 8, 0, UINT64_MAX},
    [E_INODE] = {NUMBER, IN(handover_entry, inode), 8, 0, UINT64_MAX},
};

_Static_assert(sizeof(struct handover_limit) == 2 * sizeof(uint64_t) &&
                   sizeof(enum handover_kind) == 4,
               "limits and kinds are plain numbers");

struct form {
    const char *name;
    uint32_t required; /* a bit for each tag */
    uint32_t optional; /* always sent, may be missing in what comes */
};

#define BIT(tag) (UINT32_C(1) << (tag))
#define FORM(type, required, optional) [HANDOVER_##type] = {#type, required, optional}

static const struct form forms[] = {
    FORM(HELLO,
         BIT(VERSION_MIN) | BIT(VERSION_MAX) | BIT(PID) | BIT(NAME) | BIT(VERSION) | BIT(BUILD), 0),
    FORM(ACK, BIT(COUNT), 0),
    FORM(PROGRESS, BIT(TEXT), BIT(EXTEND)),
    FORM(READY, BIT(COUNT), BIT(TEXT)),
    FORM(SERVING, 0, 0),
    FORM(FAILED, BIT(TEXT), 0),
    FORM(STOPPING, 0, 0),
    FORM(RELEASE, 0, 0),
    FORM(PONG, 0, 0),
    FORM(WELCOME,
         BIT(VERSION_MAX) | BIT(GENERATION) | BIT(COUNT) | BIT(BLOCKED) | BIT(IGNORED) |
             BIT(UMASK) | BIT(LIMITS),
         0),
    FORM(BATCH, BIT(ENTRY_COUNT), 0),
    FORM(COMMIT, 0, 0),
    FORM(PING, 0, 0),
    FORM(AGAIN, 0, 0),
    FORM(RETIRED, 0, 0),
    FORM(STOP, 0, 0),
};

static const struct form entry_form = {"entry", BIT(E_NAME) | BIT(E_KIND),
                                       BIT(E_ADDRESS) | BIT(E_INDEX) | BIT(E_OUTSIDE) |
                                           BIT(E_DEVICE) | BIT(E_INODE)};

static const struct form *form_of(uint64_t type)
{
    bool known = type < sizeof forms / sizeof forms[0] && forms[type].name != NULL;
    return known ? &forms[type] : NULL;
}

static bool has(const struct form *form, unsigned tag)
{
    return tag <= ENTRY && ((form->required | form->optional) & BIT(tag)) != 0;
}

/* --- what both directions ask ---------------------------------------------------------------- */

static bool in_range(const struct field *field, uint64_t value)
{
    return value >= field->least && value <= field->most;
}

/* size is at most HANDOVER_TEXT_MAX - 1. */
static bool is_label(const char *bytes, size_t size)
{
    char text[HANDOVER_TEXT_MAX];
    memcpy(text, bytes, size);
    text[size] = '\0';
    return size == 0 || (strlen(text) == size && text_printable(text, size));
}

/* What no field can know by itself. */
static bool is_coherent(const struct form *form, const struct handover_message *message)
{
    if (has(form, VERSION_MIN) && message->version_min > message->version_max)
        return false;
    for (size_t i = 0; has(form, LIMITS) && i < HANDOVER_LIMITS; i++)
        if (message->boot.limits[i].soft > message->boot.limits[i].hard)
            return false;
    return true;
}

/* --- to bytes -------------------------------------------------------------------------------- */

struct packet {
    unsigned char *bytes;
    size_t room, used;
    int rc; /* the first error; after it nothing is put any more */
};

static void fail(struct packet *packet, int rc)
{
    if (packet->rc == 0)
        packet->rc = rc;
}

static void put(struct packet *packet, const void *bytes, size_t size)
{
    if (size > packet->room - packet->used)
        fail(packet, -ENOBUFS);
    if (packet->rc < 0)
        return;
    memcpy(packet->bytes + packet->used, bytes, size);
    packet->used += size;
}

static void put_number(struct packet *packet, uint64_t value, size_t width)
{
    unsigned char bytes[sizeof value];
    for (size_t i = 0; i < width; i++, value >>= 8)
        bytes[i] = (unsigned char)value;
    put(packet, bytes, width);
}

static uint64_t load(const char *from, size_t width)
{
    uint32_t narrow;
    uint64_t wide;
    memcpy(width == sizeof wide ? (void *)&wide : (void *)&narrow, from, width);
    return width == sizeof wide ? wide : narrow;
}

static void put_numbers(struct packet *packet, const struct field *field, const char *from)
{
    put_number(packet, field->size, 2);
    for (size_t at = 0; at < field->size; at += field->width) {
        uint64_t value = load(from + at, field->width);
        if (!in_range(field, value))
            fail(packet, -EINVAL);
        put_number(packet, value, field->width);
    }
}

static void put_text(struct packet *packet, const struct field *field, const char *from)
{
    size_t size = text_whole(from, strnlen(from, field->size - 1));
    if (!in_range(field, size) || (field->shape == LABEL && !is_label(from, size)))
        fail(packet, -EINVAL);
    put_number(packet, size, 2);
    put(packet, from, size);
}

static void put_fields(struct packet *packet, const struct form *form, const struct field *fields,
                       const void *from)
{
    for (unsigned tag = 1; tag < ENTRY; tag++) {
        if (!has(form, tag))
            continue;
        const struct field *field = &fields[tag];
        put_number(packet, tag, 2);
        (field->shape == NUMBER ? put_numbers : put_text)(packet, field,
                                                          (const char *)from + field->offset);
    }
}

static void put_entry(struct packet *packet, const struct handover_entry *entry)
{
    put_number(packet, ENTRY, 2);
    struct packet size = *packet;
    put_number(packet, 0, 2);
    size_t start = packet->used;
    put_fields(packet, &entry_form, entry_fields, entry);
    put_number(&size, packet->used - start, 2); /* known only now */
}

int handover_encode(const struct handover_message *message, void *packet, size_t size)
{
    const struct form *form = form_of(message->type);
    if (form == NULL || !is_coherent(form, message))
        return -EINVAL;
    struct packet out = {.bytes = packet,
                         .room = size < HANDOVER_PACKET_MAX ? size : HANDOVER_PACKET_MAX};
    put(&out, magic, sizeof magic);
    put_number(&out, HEAD_VERSION, 2);
    put_number(&out, message->type, 2);
    put_fields(&out, form, message_fields, message);
    for (size_t i = 0; has(form, ENTRY_COUNT) && out.rc == 0 && i < message->entry_count; i++)
        put_entry(&out, &message->entries[i]);
    return out.rc < 0 ? out.rc : (int)out.used;
}

/* --- from bytes ------------------------------------------------------------------------------ */

struct bytes {
    const unsigned char *at;
    size_t left;
};

static uint64_t get_number(const unsigned char *bytes, size_t width)
{
    uint64_t value = 0;
    for (size_t i = width; i > 0; i--)
        value = value << 8 | bytes[i - 1];
    return value;
}

/* False at the end; what is left then is no field. */
static bool next_field(struct bytes *from, unsigned *tag, struct bytes *value)
{
    if (from->left < FIELD_HEAD_SIZE)
        return false;
    size_t size = (size_t)get_number(from->at + 2, 2);
    if (size > from->left - FIELD_HEAD_SIZE)
        return false;
    *tag = (unsigned)get_number(from->at, 2);
    *value = (struct bytes){from->at + FIELD_HEAD_SIZE, size};
    from->at += FIELD_HEAD_SIZE + size;
    from->left -= FIELD_HEAD_SIZE + size;
    return true;
}

static bool get_numbers(char *to, const struct field *field, struct bytes from)
{
    if (from.left != field->size)
        return false;
    for (size_t at = 0; at < field->size; at += field->width) {
        uint64_t wide = get_number(from.at + at, field->width);
        uint32_t narrow = (uint32_t)wide;
        if (!in_range(field, wide))
            return false;
        memcpy(to + at, field->width == sizeof wide ? (void *)&wide : (void *)&narrow,
               field->width);
    }
    return true;
}

/* The bytes of the character at text, 0 when it is none or does not print. */
static size_t printing(const char *text, size_t size)
{
    uint32_t rune;
    size_t length = text_rune(text, size, &rune);
    return is_label(text, length) ? length : 0;
}

static bool get_text(char *to, const struct field *field, struct bytes from)
{
    if (!in_range(field, from.left))
        return false;
    memcpy(to, from.at, from.left);
    to[from.left] = '\0';
    if (field->shape == LABEL)
        return is_label(to, from.left);
    for (size_t at = 0; at < from.left;) {
        size_t length = printing(to + at, from.left - at);
        if (length == 0)
            to[at] = '?';
        at += length > 0 ? length : 1;
    }
    return true;
}

static bool get_fields(void *to, const struct form *form, const struct field *fields,
                       struct bytes from)
{
    uint32_t seen = 0;
    unsigned tag;
    struct bytes value;
    while (next_field(&from, &tag, &value)) {
        if (!has(form, tag))
            continue;
        const struct field *field = &fields[tag];
        char *at = (char *)to + field->offset;
        if ((seen & BIT(tag)) != 0 ||
            !(field->shape == NUMBER ? get_numbers : get_text)(at, field, value))
            return false;
        seen |= BIT(tag);
    }
    return from.left == 0 && (form->required & ~seen) == 0;
}

/* As many as were announced. */
static bool get_entries(struct handover_message *message, struct bytes from)
{
    size_t count = 0;
    unsigned tag;
    struct bytes value;
    while (next_field(&from, &tag, &value)) {
        if (tag != ENTRY)
            continue;
        if (count == message->entry_count ||
            !get_fields(&message->entries[count], &entry_form, entry_fields, value))
            return false;
        count++;
    }
    return count == message->entry_count;
}

static int get_message(struct handover_message *message, struct bytes from)
{
    if (from.left < HEAD_SIZE || from.left > HANDOVER_PACKET_MAX ||
        memcmp(from.at, magic, sizeof magic) != 0 ||
        get_number(from.at + sizeof magic, 2) != HEAD_VERSION)
        return -EBADMSG;
    uint64_t type = get_number(from.at + sizeof magic + 2, 2);
    const struct form *form = form_of(type);
    if (form == NULL)
        return -EPROTONOSUPPORT;
    message->type = (enum handover_type)type;
    from = (struct bytes){from.at + HEAD_SIZE, from.left - HEAD_SIZE};
    bool good = get_fields(message, form, message_fields, from);
    if (good && has(form, ENTRY_COUNT))
        good = get_entries(message, from);
    return good && is_coherent(form, message) ? 0 : -EBADMSG;
}

int handover_decode(struct handover_message *message, const void *packet, size_t size)
{
    memset(message, 0, sizeof *message);
    int rc = get_message(message, (struct bytes){packet, size});
    if (rc < 0) /* nothing of what is not believed */
        memset(message, 0, sizeof *message);
    return rc;
}

bool handover_is_by(const struct handover_message *hello, const char *program)
{
    size_t size = text_fitting(program, strlen(program), sizeof hello->name - 1);
    return strlen(hello->name) == size && memcmp(hello->name, program, size) == 0;
}

uint32_t handover_agree(uint32_t their_min, uint32_t their_max)
{
    uint32_t least = their_min > HANDOVER_VERSION_MIN ? their_min : HANDOVER_VERSION_MIN;
    uint32_t most = their_max < HANDOVER_VERSION_MAX ? their_max : HANDOVER_VERSION_MAX;
    return least <= most ? most : 0;
}

const char *handover_type_name(enum handover_type type)
{
    const struct form *form = form_of(type);
    return form != NULL ? form->name : "?";
}
