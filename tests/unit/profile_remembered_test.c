/* SPDX-License-Identifier: MIT
 *
 * What names are kept from one profile to the next, and the memory that they and others lie in.
 */
#include "base/pages.h"
#include "base/sort.h"
#include "harness.h"
#include "profile/names.h"
#include "profile/remembered.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static const struct module one = {.build_id = {1, 2, 3}, .build_id_size = 3};
static const struct module other = {.build_id = {1, 2, 4}, .build_id_size = 3};
static const struct module nameless = {.build_id_size = 0};

START_TEST(answers_copies_of_what_it_took)
    {
        struct remembered remembered = {0};
        char function[] = "inner", file[] = "a.c";
        const struct name names[] = {{function, file, 7, 5}, {.function = "outer"}};
        size_t count;
        ck_assert_ptr_null(remembered_find(&remembered, &one, 0x10, &count));
        remembered_add(&remembered, &one, 0x10, names, 2);
        function[0] = file[0] = '?';
        const struct name *found = remembered_find(&remembered, &one, 0x10, &count);
        ck_assert_ptr_nonnull(found);
        ck_assert_uint_eq(count, 2);
        ck_assert_str_eq(found[0].function, "inner");
        ck_assert_str_eq(found[0].file, "a.c");
        ck_assert_int_eq(found[0].line, 7);
        ck_assert_int_eq(found[0].start_line, 5);
        ck_assert_str_eq(found[1].function, "outer");
        ck_assert_ptr_null(found[1].file);
        remembered_free(&remembered);
    }
END_TEST

START_TEST(remembers_too_that_there_is_no_name)
    {
        struct remembered remembered = {0};
        size_t count = 9;
        remembered_add(&remembered, &one, 0x10, NULL, 0);
        ck_assert_ptr_nonnull(remembered_find(&remembered, &one, 0x10, &count));
        ck_assert_uint_eq(count, 0);
        remembered_free(&remembered);
    }
END_TEST

START_TEST(tells_files_apart_by_their_build_id)
    {
        struct remembered remembered = {0};
        size_t count;
        remembered_add(&remembered, &one, 0x10, &(struct name){.function = "f"}, 1);
        remembered_add(&remembered, &nameless, 0x10, &(struct name){.function = "g"}, 1);
        ck_assert_ptr_null(remembered_find(&remembered, &other, 0x10, &count));
        ck_assert_ptr_null(remembered_find(&remembered, &nameless, 0x10, &count));
        remembered_add(&remembered, &other, 0x10, &(struct name){.function = "h"}, 1);
        ck_assert_str_eq(remembered_find(&remembered, &one, 0x10, &count)->function, "f");
        ck_assert_str_eq(remembered_find(&remembered, &other, 0x10, &count)->function, "h");
        remembered_free(&remembered);
    }
END_TEST

static uint64_t add_until_full(struct remembered *remembered, int width, unsigned step)
{
    char function[512];
    size_t count;
    for (uint64_t at = 0; at < 1000000; at++) {
        (void)snprintf(function, sizeof function, "%0*x", width, (unsigned)at * step);
        remembered_add(remembered, &one, at, &(struct name){.function = function}, 1);
        if (remembered_find(remembered, &one, at, &count) == NULL)
            return at;
    }
    ck_abort_msg("never full");
}

static void check_bound(int width, unsigned step, uint64_t least)
{
    struct remembered remembered = {0};
    char first[512];
    size_t count;
    (void)snprintf(first, sizeof first, "%0*x", width, 0U);
    uint64_t taken = add_until_full(&remembered, width, step);
    ck_assert_uint_ge(taken, least);
    const struct name *found = remembered_find(&remembered, &one, 0, &count);
    ck_assert_str_eq(found->function, first); /* until the next profile */
    remembered_tidy(&remembered);
    ck_assert_ptr_null(remembered_find(&remembered, &one, 0, &count));
    remembered_add(&remembered, &one, 0, &(struct name){.function = "again"}, 1);
    remembered_tidy(&remembered); /* there is room: all stays */
    ck_assert_str_eq(remembered_find(&remembered, &one, 0, &count)->function, "again");
    remembered_free(&remembered);
}

START_TEST(begins_anew_when_there_is_no_room)
    {
        check_bound(1, 0, 8192);   /* entries */
        check_bound(8, 1, 4096);   /* texts */
        check_bound(500, 1, 2048); /* bytes */
    }
END_TEST

START_TEST(takes_no_more_files_than_it_has_room_for)
    {
        struct remembered remembered = {0};
        struct module module = {.build_id_size = 2};
        size_t count;
        for (unsigned i = 0; i <= REMEMBERED_MODULES; i++) {
            module.build_id[0] = (unsigned char)i;
            module.build_id[1] = (unsigned char)(i >> 8);
            remembered_add(&remembered, &module, 1, &(struct name){.function = "f"}, 1);
            ck_assert_int_eq(remembered_find(&remembered, &module, 1, &count) != NULL,
                             i < REMEMBERED_MODULES);
        }
        remembered_free(&remembered);
    }
END_TEST

struct numbered {
    unsigned key, number;
};

static int by_key(const void *a, const void *b)
{
    const struct numbered *left = a, *right = b;
    return left->key < right->key ? -1 : left->key > right->key;
}

START_TEST(sorts_stably_whatever_the_order)
    {
        static struct numbered all[1000];
        unsigned seed = 1;
        for (size_t count = 0; count < 1000; count += count < 70 ? 1 : 93) {
            for (unsigned keys = 1; keys <= 1000; keys *= 10) {
                for (unsigned i = 0; i < count; i++) {
                    seed = seed * 1103515245U + 12345U;
                    all[i] = (struct numbered){(seed >> 16) % keys, i};
                }
                ck_assert(sort_runs(all, count, sizeof all[0], by_key));
                for (size_t i = 1; i < count; i++) {
                    ck_assert_uint_le(all[i - 1].key, all[i].key);
                    if (all[i - 1].key == all[i].key)
                        ck_assert_uint_lt(all[i - 1].number, all[i].number);
                }
            }
        }
    }
END_TEST

START_TEST(pages_keep_what_was_in_them)
    {
        size_t small = 100, large = (size_t)3 << 20;
        char *memory = pages_resize(NULL, 0, small);
        ck_assert_ptr_nonnull(memory);
        ck_assert_int_eq(memory[99], 0);
        memory[99] = 'x';
        memory = pages_resize(memory, small, large);
        ck_assert_int_eq(memory[99], 'x');
        ck_assert_int_eq(memory[large - 1], 0);
        memory = pages_resize(memory, large, small);
        ck_assert_int_eq(memory[99], 'x');
        ck_assert_ptr_null(pages_resize(memory, small, 0));
        ck_assert_ptr_null(pages_resize(memory, small, SIZE_MAX / 2));
        ck_assert_int_eq(memory[99], 'x');
        pages_free(memory, small);
        pages_free(NULL, 0);
    }
END_TEST

static size_t names_of(struct remembered *all, const struct module *known, uintptr_t address)
{
    struct names *names;
    ck_assert_int_eq(names_new(&names, known, all), 0);
    size_t count = names_find(names, address)->count;
    names_free(names);
    return count;
}

START_TEST(does_not_remember_that_it_had_no_descriptor)
    {
        struct remembered all = {0};
        struct modules *modules;
        struct rlimit before, none = {0};
        uintptr_t address = (uintptr_t)&names_of + 1;
        ck_assert_int_eq(modules_new(&modules), 0);
        ck_assert_int_eq(modules_refresh(modules, NULL), 0);
        ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
        none.rlim_max = before.rlim_max;
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
        ck_assert_uint_eq(names_of(&all, modules->known, address), 0);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
        ck_assert_uint_gt(names_of(&all, modules->known, address), 0);
        remembered_free(&all);
        modules_free(modules);
    }
END_TEST

int main(void)
{
    return HARNESS("profile_remembered", answers_copies_of_what_it_took,
                   remembers_too_that_there_is_no_name, tells_files_apart_by_their_build_id,
                   begins_anew_when_there_is_no_room, takes_no_more_files_than_it_has_room_for,
                   sorts_stably_whatever_the_order, pages_keep_what_was_in_them,
                   does_not_remember_that_it_had_no_descriptor);
}
