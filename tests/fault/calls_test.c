/* SPDX-License-Identifier: MIT
 *
 * No call is forgotten: what nm says that the library needs stands in the table, wrapped or
 * excused; and what is said to be wrapped is.
 */
#include "harness.h"
#include "wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MAX = 16384, NAME_SIZE = 128 };

struct names {
    char (*list)[NAME_SIZE];
    size_t count;
};

/* What nm prints of a file; each line ends with a name. */
static struct names ask_nm(const char *options, const char *file)
{
    char command[4096], line[512];
    struct names names = {.list = calloc(NAMES_MAX, NAME_SIZE)};
    ck_assert_ptr_nonnull(names.list);
    (void)snprintf(command, sizeof command, "'%s' %s '%s' 2>/dev/null", FAULT_NM, options, file);
    FILE *pipe = popen(command, "re");
    ck_assert_ptr_nonnull(pipe);
    while (names.count < NAMES_MAX && fgets(line, sizeof line, pipe) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        const char *name = strrchr(line, ' ');
        if (name != NULL)
            (void)snprintf(names.list[names.count++], NAME_SIZE, "%.100s", name + 1);
    }
    ck_assert_int_eq(pclose(pipe), 0);
    ck_assert_uint_gt(names.count, 0);
    ck_assert_uint_lt(names.count, NAMES_MAX);
    return names;
}

static bool has(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->list[i], name) == 0)
            return true;
    return false;
}

static const struct fault_call *find(const char *name)
{
    for (size_t i = 0; i < fault_call_count; i++)
        if (strcmp(fault_calls[i].name, name) == 0)
            return &fault_calls[i];
    return NULL;
}

/* What the compiler adds for a sanitizer or for coverage is not the library's. */
static bool is_of_the_compiler(const char *name)
{
    static const char *const prefixes[] = {"__asan_", "__ubsan_", "__tsan_",  "__sanitizer_",
                                           "__gcov_", "__llvm_",  "__start_", "__stop_"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

START_TEST(wraps_or_excuses_every_call_of_the_library)
    {
        struct names needed = ask_nm("--undefined-only", FAULT_LIBRARY);
        struct names own = ask_nm("-g --defined-only", FAULT_LIBRARY);
        char missing[1024] = "";
        for (size_t i = 0; i < needed.count; i++) {
            const char *name = needed.list[i];
            if (has(&own, name) || is_of_the_compiler(name) || find(name) != NULL)
                continue;
            size_t used = strlen(missing);
            (void)snprintf(missing + used, sizeof missing - used, " %s", name);
        }
        ck_assert_msg(missing[0] == '\0', "neither wrapped nor excused in calls.c:%s", missing);
        free(needed.list);
        free(own.list);
    }
END_TEST

START_TEST(wraps_what_the_table_says)
    {
        struct names needed = ask_nm("--undefined-only", FAULT_WRAPPED);
        char wrapper[NAME_SIZE + 8];
        for (size_t i = 0; i < fault_call_count; i++) {
            const struct fault_call *call = &fault_calls[i];
            (void)snprintf(wrapper, sizeof wrapper, "__wrap_%s", call->name);
            if (call->reason == NULL)
                ck_assert_msg(has(&needed, wrapper), "%s is not wrapped", call->name);
            else
                ck_assert_msg(!has(&needed, wrapper), "%s is wrapped and excused", call->name);
        }
        free(needed.list);
    }
END_TEST

START_TEST(knows_each_call_once_and_in_order)
    {
        for (size_t i = 1; i < fault_call_count; i++)
            ck_assert_str_lt(fault_calls[i - 1].name, fault_calls[i].name);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.calls", wraps_or_excuses_every_call_of_the_library,
                   wraps_what_the_table_says, knows_each_call_once_and_in_order);
}
