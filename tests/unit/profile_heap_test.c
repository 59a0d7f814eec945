/* SPDX-License-Identifier: MIT
 *
 * What jemalloc writes, as stacks with values. This program has an allocator of that name in it.
 */
#include "harness.h"
#include "profile/heap.h"

#include <stdio.h>
#include <string.h>

static bool parse(const char *text, const struct module *allocator, struct stacks *out)
{
    char copy[512];
    ck_assert_uint_lt(strlen(text), sizeof copy);
    memcpy(copy, text, strlen(text) + 1);
    *out = (struct stacks){0};
    return heap_parse(copy, allocator, out);
}

static void expect(const struct stack *stack, const uint64_t values[STACKS_VALUES])
{
    for (size_t i = 0; i < STACKS_VALUES; i++)
        ck_assert_uint_eq(stack->values[i], values[i]);
}

START_TEST(scales_what_was_sampled)
    {
        struct stacks stacks;
        /* Objects as large as the rate are seen with 1 - 1/e; much larger ones always. */
        ck_assert(parse("heap_v2/1000\n  t*: 30: 30000 [0: 0]\n  t0: 9: 9 [0: 0]\n"
                        "@ 0x101 0x201\n  t*: 632: 632000 [0: 0]\n  t0: 1: 1 [0: 0]\n"
                        "@ 0x301\n  t*: 2: 2000000 [3: 3000000]\n"
                        "@ 0x401\n  t*: 1: 10 [0: 0]\n\nMAPPED_LIBRARIES:\n@ 0x501\n",
                        NULL, &stacks));
        ck_assert_uint_eq(stacks.count, 3);
        expect(&stacks.all[0], (const uint64_t[]){1000, 999809, 1000, 999809});
        expect(&stacks.all[1], (const uint64_t[]){3, 3000000, 2, 2000000});
        expect(&stacks.all[2], (const uint64_t[]){101, 1005, 101, 1005});
        ck_assert_uint_eq(stacks.all[0].depth, 2);
        ck_assert_uint_eq(stacks_frames(&stacks, &stacks.all[0])[1], 0x200);
        stacks_free(&stacks);
    }
END_TEST

START_TEST(leaves_out_the_frames_of_the_allocator)
    {
        struct stacks stacks;
        const struct module allocator = {.start = 0x1000, .end = 0x2000};
        ck_assert(parse("heap_v2/1\n@ 0x1101 0x1fff 0x201 0x1101\n  t*: 1: 10 [0: 0]\n", &allocator,
                        &stacks));
        ck_assert_uint_eq(stacks.all[0].depth, 2);
        ck_assert_uint_eq(stacks_frames(&stacks, &stacks.all[0])[0], 0x200);
        stacks_free(&stacks);
    }
END_TEST

START_TEST(refuses_another_format)
    {
        struct stacks stacks;
        ck_assert(!parse("", NULL, &stacks));
        ck_assert(!parse("heap profile: 1: 2 [3: 4] @ heapprofile\n", NULL, &stacks));
        ck_assert(!parse("heap_v2/\n", NULL, &stacks));
        ck_assert(parse("heap_v2/1\n@ zz\n t*: 1: 1 [0: 0]\n  t*: x\n@\n", NULL, &stacks));
        ck_assert_uint_eq(stacks.count, 0);
        stacks_free(&stacks);
    }
END_TEST

START_TEST(counts_no_more_than_there_is_room_for)
    {
        struct stacks stacks;
        ck_assert(parse("heap_v2/18446744073709551615\n@ 0x101\n  t*: 9999999999999: 1 [0: 0]\n",
                        NULL, &stacks));
        expect(&stacks.all[0], (const uint64_t[]){UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX});
        stacks_free(&stacks);
    }
END_TEST

/* --- a jemalloc that is a part of this program ------------------------------------------------ */

int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t value_size);

int mallctl(const char *name, void *old, size_t *old_size, void *value, size_t value_size)
{
    if (strcmp(name, "prof.dump") != 0) {
        ck_assert_uint_eq(*old_size, sizeof(bool));
        memcpy(old, &(bool){true}, sizeof(bool)); /* all of it is on */
        return 0;
    }
    ck_assert_uint_eq(value_size, sizeof(const char *));
    FILE *dump = fopen(*(const char **)value, "we");
    ck_assert_ptr_nonnull(dump);
    (void)fprintf(dump, "heap_v2/1\n@ %p\n  t*: 1: 10 [0: 0]\n", (void *)((char *)&mallctl + 8));
    ck_assert_int_eq(fclose(dump), 0);
    return 0;
}

START_TEST(shows_the_frames_of_a_program_that_has_the_allocator_in_it)
    {
        struct profile profile;
        srun_err err = {0};
        ck_assert_msg(heap_profile(&profile, &err) == 0, "%s", err.text);
        ck_assert_uint_eq(profile.stacks.count, 1);
        ck_assert_uint_eq(stacks_frames(&profile.stacks, &profile.stacks.all[0])[0],
                          (uintptr_t)&mallctl + 7);
        profile_free(&profile);
    }
END_TEST

int main(void)
{
    return HARNESS("profile_heap", scales_what_was_sampled, leaves_out_the_frames_of_the_allocator,
                   refuses_another_format, counts_no_more_than_there_is_room_for,
                   shows_the_frames_of_a_program_that_has_the_allocator_in_it);
}
