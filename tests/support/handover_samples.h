/* SPDX-License-Identifier: MIT
 *
 * One good message of each type between two generations, with nothing set that it does not carry,
 * so that what comes back can be compared as a whole; and a way to find the fields in a packet.
 */
#ifndef TESTS_HANDOVER_SAMPLES_H
#define TESTS_HANDOVER_SAMPLES_H

#include "upgrade/handover.h"

#include <stdio.h>
#include <string.h>

enum { SAMPLE_COUNT = 16, SAMPLE_HEAD = 8, SAMPLE_ENTRIES = 3 };

static const enum handover_type sample_types[SAMPLE_COUNT] = {
    HANDOVER_HELLO,   HANDOVER_ACK,     HANDOVER_PROGRESS, HANDOVER_READY,
    HANDOVER_SERVING, HANDOVER_FAILED,  HANDOVER_STOPPING, HANDOVER_RELEASE,
    HANDOVER_PONG,    HANDOVER_WELCOME, HANDOVER_BATCH,    HANDOVER_COMMIT,
    HANDOVER_PING,    HANDOVER_AGAIN,   HANDOVER_RETIRED,  HANDOVER_STOP,
};

static inline void sample_hello(struct handover_message *out)
{
    out->version_min = HANDOVER_VERSION_MIN;
    out->version_max = HANDOVER_VERSION_MAX;
    out->pid = 4711;
    (void)snprintf(out->name, sizeof out->name,
                   "b\xc3\xbc"
                   "cher");
    (void)snprintf(out->version, sizeof out->version, "1.4.0");
    (void)snprintf(out->build, sizeof out->build, "00ff12ab");
}

static inline void sample_welcome(struct handover_message *out)
{
    out->version_max = HANDOVER_VERSION_MAX;
    out->generation = 3;
    out->count = 1000;
    out->boot.blocked = UINT64_C(1) << 63 | 1;
    out->boot.ignored = UINT64_C(1) << 12;
    out->boot.umask = 027;
    for (uint64_t i = 0; i < HANDOVER_LIMITS; i++)
        out->boot.limits[i] = (struct handover_limit){i << 30, i % 2 == 0 ? UINT64_MAX : i << 30};
}

static inline void sample_batch(struct handover_message *out)
{
    out->entry_count = SAMPLE_ENTRIES;
    for (uint32_t i = 0; i < SAMPLE_ENTRIES; i++) {
        struct handover_entry *entry = &out->entries[i];
        (void)snprintf(entry->name, sizeof entry->name, "entry %u", i);
        entry->kind = (enum handover_kind)(HANDOVER_LISTENER + i % 3);
        if (entry->kind != HANDOVER_LISTENER)
            continue;
        (void)snprintf(entry->address, sizeof entry->address, "unix:///run/%u.sock", i);
        entry->index = i;
        entry->outside = 1;
        entry->device = UINT64_MAX - i;
        entry->inode = UINT64_C(0x0123456789abcdef) + i;
    }
}

static inline void sample(struct handover_message *out, enum handover_type type)
{
    memset(out, 0, sizeof *out);
    out->type = type;
    if (type == HANDOVER_HELLO)
        sample_hello(out);
    else if (type == HANDOVER_WELCOME)
        sample_welcome(out);
    else if (type == HANDOVER_BATCH)
        sample_batch(out);
    if (type == HANDOVER_ACK || type == HANDOVER_READY)
        out->count = 7;
    if (type == HANDOVER_PROGRESS)
        out->extend_ns = UINT64_C(5000000000);
    if (type == HANDOVER_PROGRESS || type == HANDOVER_READY || type == HANDOVER_FAILED)
        (void)snprintf(out->text, sizeof out->text, "db: 3 of 5 tables \xe2\x9c\x93");
}

/* As many entries as there can be, with the longest texts. */
static inline void sample_largest(struct handover_message *out)
{
    memset(out, 0, sizeof *out);
    out->type = HANDOVER_BATCH;
    out->entry_count = HANDOVER_BATCH_MAX;
    for (uint32_t i = 0; i < HANDOVER_BATCH_MAX; i++) {
        struct handover_entry *entry = &out->entries[i];
        entry->kind = HANDOVER_STATE;
        entry->index = i;
        entry->outside = 1;
        entry->device = UINT64_MAX;
        entry->inode = UINT64_MAX;
        memset(entry->name, 'n', sizeof entry->name - 1);
        memset(entry->address, 'a', sizeof entry->address - 1);
    }
}

/* A packet that tests take apart. */
struct sample_packet {
    unsigned char bytes[HANDOVER_PACKET_MAX + 64];
    size_t size;
};

/* The size of the whole field at `at`, 0 when there is none. */
static inline size_t sample_field(const struct sample_packet *packet, size_t at)
{
    const unsigned char *head = packet->bytes + at;
    if (at + 4 > packet->size)
        return 0;
    size_t size = 4 + (size_t)(head[2] | head[3] << 8);
    return at + size <= packet->size ? size : 0;
}

/* Where the first field of this tag stands, from `at` on; 0: nowhere. */
static inline size_t sample_find(const struct sample_packet *packet, size_t at, unsigned tag)
{
    for (size_t size; (size = sample_field(packet, at)) > 0; at += size)
        if ((unsigned)(packet->bytes[at] | packet->bytes[at + 1] << 8) == tag)
            return at;
    return 0;
}

/* Puts bytes at a place; false: no room. */
static inline int sample_insert(struct sample_packet *packet, size_t at, const void *bytes,
                                size_t size)
{
    if (at > packet->size || size > sizeof packet->bytes - packet->size)
        return 0;
    memmove(packet->bytes + at + size, packet->bytes + at, packet->size - at);
    memcpy(packet->bytes + at, bytes, size);
    packet->size += size;
    return 1;
}

static inline void sample_remove(struct sample_packet *packet, size_t at, size_t size)
{
    if (size == 0 || at > packet->size || size > packet->size - at)
        return;
    memmove(packet->bytes + at, packet->bytes + at + size, packet->size - at - size);
    packet->size -= size;
}

#endif
