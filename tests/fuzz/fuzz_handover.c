/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a packet between two generations; and the same bytes as edits of a good packet,
 * which lead behind the first checks. What is understood is good in every part: it can be sent on,
 * and then says the same.
 */
#include "../support/handover_samples.h"
#include "base/ensure.h"
#include "fuzz.h"

#include <errno.h>
#include <stdlib.h>

static void check_text(const char *text, size_t size)
{
    ENSURE(strnlen(text, size) < size);
    for (; *text != '\0'; text++)
        ENSURE((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void check_message(const struct handover_message *message)
{
    check_text(message->name, sizeof message->name);
    check_text(message->version, sizeof message->version);
    check_text(message->build, sizeof message->build);
    check_text(message->text, sizeof message->text);
    ENSURE(message->entry_count <= HANDOVER_BATCH_MAX);
    ENSURE(message->type == HANDOVER_BATCH || message->entry_count == 0);
    for (uint32_t i = 0; i < message->entry_count; i++) {
        check_text(message->entries[i].name, sizeof message->entries[i].name);
        check_text(message->entries[i].address, sizeof message->entries[i].address);
        ENSURE(message->entries[i].name[0] != '\0');
        ENSURE(message->entries[i].kind >= HANDOVER_LISTENER);
        ENSURE(message->entries[i].kind <= HANDOVER_STATE);
    }
}

static void check_packet(const void *bytes, size_t size)
{
    static struct handover_message first, second;
    static unsigned char again[HANDOVER_PACKET_MAX];
    int rc = handover_decode(&first, bytes, size);
    ENSURE(rc == 0 || rc == -EBADMSG || rc == -EPROTONOSUPPORT);
    if (rc < 0)
        return;
    check_message(&first);
    int length = handover_encode(&first, again, sizeof again);
    ENSURE(length > 0);
    ENSURE(handover_decode(&second, again, (size_t)length) == 0);
    ENSURE(memcmp(&first, &second, sizeof first) == 0);
    ENSURE(handover_encode(&first, again, (size_t)length - 1) == -ENOBUFS);
}

/* --- edits ----------------------------------------------------------------------------------- */

static size_t field_near(const struct sample_packet *packet, size_t wanted)
{
    size_t at = SAMPLE_HEAD;
    for (size_t size; (size = sample_field(packet, at)) > 0 && at + size <= wanted;)
        at += size;
    return at;
}

/* Four bytes: what to do, a place (of two bytes), and a value. */
static void edit(struct sample_packet *packet, const uint8_t how[4])
{
    size_t at = packet->size > 0 ? (size_t)(how[1] | how[2] << 8) % packet->size : 0;
    size_t field = field_near(packet, at);
    size_t size = sample_field(packet, field);
    struct sample_packet copy;
    switch (how[0] % 8) {
    case 0: /* a byte */
    case 1:
        packet->bytes[at] = how[3];
        break;
    case 2: /* the end */
        packet->size = at;
        break;
    case 3: /* a field goes */
        sample_remove(packet, field, size);
        break;
    case 4: /* a field comes twice */
        copy = *packet;
        (void)sample_insert(packet, field, copy.bytes + field, size);
        break;
    case 5: /* a field of another tag, or of one that is skipped */
        (void)sample_insert(packet, field, (const uint8_t[]){how[3], 0, 2, 0, how[1], how[2]}, 6);
        break;
    case 6: /* a byte more or less, and the length says so */
        if (size > 4 && how[3] % 2 == 0) {
            sample_remove(packet, field + 4, 1);
            packet->bytes[field + 2]--;
        } else if (size > 0 && sample_insert(packet, field + size, &how[3], 1)) {
            packet->bytes[field + 2]++;
        }
        break;
    default: /* a byte more */
        (void)sample_insert(packet, at, &how[3], 1);
        break;
    }
}

static void check_edited(const uint8_t *data, size_t size)
{
    static struct handover_message message;
    static struct sample_packet packet;
    if (data[0] % (SAMPLE_COUNT + 1) == SAMPLE_COUNT)
        sample_largest(&message);
    else
        sample(&message, sample_types[data[0] % (SAMPLE_COUNT + 1)]);
    int length = handover_encode(&message, packet.bytes, sizeof packet.bytes);
    ENSURE(length > 0);
    packet.size = (size_t)length;
    for (size_t at = 1; at + 4 <= size && at < 4 * 32; at += 4)
        edit(&packet, data + at);

    /* Of its very size, for the sanitizer. */
    uint8_t *exact = malloc(packet.size > 0 ? packet.size : 1);
    ENSURE(exact != NULL);
    memcpy(exact, packet.bytes, packet.size);
    check_packet(exact, packet.size);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check_packet(data, size);
    if (size > 0)
        check_edited(data, size);
    return 0;
}
