/* SPDX-License-Identifier: MIT
 *
 * One message and its packet, to be taken apart and put together otherwise.
 */
#ifndef TESTS_UNIT_HANDOVER_WIRE_H
#define TESTS_UNIT_HANDOVER_WIRE_H

#include "handover_samples.h"
#include "harness.h"
#include "upgrade/handover.h"

#include <errno.h>
#include <stdlib.h>

/* The tags that tests have to name. */
enum {
    VERSION_MIN = 1,
    VERSION_MAX,
    PID,
    GENERATION,
    COUNT,
    EXTEND,
    NAME,
    TEXT = 10,
    UMASK = 13,
    LIMITS,
    ENTRY_COUNT,
    ENTRY = 31
};
enum { E_NAME = 1, E_ADDRESS, E_KIND, E_INDEX, E_OUTSIDE };

static struct handover_message sent, got;
static struct sample_packet packet;

static inline void encode(void)
{
    int size = handover_encode(&sent, packet.bytes, sizeof packet.bytes);
    ck_assert_int_gt(size, 0);
    packet.size = (size_t)size;
}

static inline void encode_sample(enum handover_type type)
{
    sample(&sent, type);
    encode();
}

/* From a block of its very size, so that a sanitizer sees a byte read too many. */
static inline int decode_bytes(const void *bytes, size_t size)
{
    unsigned char *copy = malloc(size > 0 ? size : 1);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, bytes, size);
    memset(&got, 0xa5, sizeof got);
    int rc = handover_decode(&got, copy, size);
    free(copy);
    return rc;
}

static inline int decode(void)
{
    return decode_bytes(packet.bytes, packet.size);
}

static inline void assert_same(void)
{
    ck_assert_msg(memcmp(&sent, &got, sizeof sent) == 0, "%s came back changed",
                  handover_type_name(sent.type));
}

/* All is 0, so that nobody believes a part. */
static inline void assert_refused(int rc)
{
    static const struct handover_message nothing;
    ck_assert_int_eq(decode(), rc);
    ck_assert_mem_eq(&got, &nothing, sizeof got);
}

static inline unsigned char *value_of(unsigned tag)
{
    size_t at = sample_find(&packet, SAMPLE_HEAD, tag);
    ck_assert_uint_gt(at, 0);
    return packet.bytes + at + 4;
}

static inline void store(unsigned char *to, uint64_t value, size_t width)
{
    for (size_t i = 0; i < width; i++, value >>= 8)
        to[i] = (unsigned char)value;
}

#endif
