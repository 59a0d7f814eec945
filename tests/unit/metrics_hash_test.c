/* SPDX-License-Identifier: MIT
 *
 * The hash of a set of attributes, which who sends the attributes does not choose.
 */
#include "harness.h"
#include "telemetry/labels.h"

#include <stdlib.h>
#include <string.h>

static int compare_hashes(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a, other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

static struct srun_kv bytes_of(const char *key, size_t key_size, const void *text, size_t size)
{
    return (struct srun_kv){.key = key,
                            .key_size = (unsigned)key_size,
                            .type = SRUN_KV_BYTES,
                            .value.str = text,
                            .size = size};
}

/* Texts with the multipliers of the hash at one place, which would make it the same for all. */
START_TEST(nobody_can_choose_a_hash)
    {
        static const uint64_t numbers[] = {0, UINT64_C(0xa0761d6478bd642f),
                                           UINT64_C(0xe7037ed1a0b428db),
                                           UINT64_C(0x8ebc6af09c88c6e3)};
        enum { PLACES = 4, SIZES = 40, NUMBERS = 4, ALL = PLACES * SIZES * NUMBERS * 2 };
        static uint64_t hashes[ALL];
        for (uint64_t seed = 1; seed < 5; seed++) {
            size_t count = 0;
            for (size_t i = 0; i < ALL; i++) {
                struct labels labels;
                unsigned char text[8 * PLACES + SIZES];
                size_t place = 8 * (i / SIZES / 2 % PLACES), size = place + 9 + i % SIZES;
                memset(text, 'x', sizeof text);
                memcpy(text + place, &numbers[i / SIZES / 2 / PLACES], 8);
                text[size - 1] = (unsigned char)('a' + i / SIZES % 2);
                const struct srun_kv kvs[] = {bytes_of("k", 1, text, size), SRUN_KV_END_};
                ck_assert(labels_read(&labels, kvs, NULL, seed));
                hashes[count++] = labels.hash;
            }
            qsort(hashes, count, sizeof hashes[0], compare_hashes);
            for (size_t i = 1; i < count; i++)
                ck_assert_uint_ne(hashes[i - 1], hashes[i]);
        }
    }
END_TEST

/* Repeated, a byte is the same words at many sizes, of a key as of a value. */
START_TEST(sizes_are_no_part_of_a_text)
    {
        static const char same[] = "aaaaaaaaaaaaaaaa";
        static uint64_t hashes[16 * 16];
        size_t count = 0;
        for (size_t key = 1; key <= 16; key++)
            for (size_t size = 1; size <= 16; size++) {
                struct labels labels;
                const struct srun_kv kvs[] = {bytes_of(same, key, same, size), SRUN_KV_END_};
                ck_assert(labels_read(&labels, kvs, NULL, 7));
                hashes[count++] = labels.hash;
            }
        qsort(hashes, count, sizeof hashes[0], compare_hashes);
        for (size_t i = 1; i < count; i++)
            ck_assert_uint_ne(hashes[i - 1], hashes[i]);
    }
END_TEST

int main(void)
{
    return HARNESS("metrics_hash", nobody_can_choose_a_hash, sizes_are_no_part_of_a_text);
}
