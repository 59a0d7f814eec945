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

/* What nm prints of a file, or of several; each line ends with a name. */
static struct names ask_nm(const char *options, const char *files)
{
    char command[4096], line[512];
    struct names names = {.list = calloc(NAMES_MAX, NAME_SIZE)};
    ck_assert_ptr_nonnull(names.list);
    (void)snprintf(command, sizeof command, "'%s' %s '%s' 2>/dev/null", FAULT_NM, options, files);
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

static const struct fault_call *find_in(const struct fault_call *calls, size_t count,
                                        const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(calls[i].name, name) == 0)
            return &calls[i];
    return NULL;
}

static const struct fault_call *find(const char *name)
{
    return find_in(fault_calls, fault_call_count, name);
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

static void check_wrapped(const char *objects, const struct fault_call *calls, size_t count)
{
    struct names needed = ask_nm("--undefined-only", objects);
    char wrapper[NAME_SIZE + 8];
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(wrapper, sizeof wrapper, "__wrap_%s", calls[i].name);
        if (calls[i].reason == NULL)
            ck_assert_msg(has(&needed, wrapper), "%s is not wrapped", calls[i].name);
        else
            ck_assert_msg(!has(&needed, wrapper), "%s is wrapped and excused", calls[i].name);
    }
    free(needed.list);
}

START_TEST(wraps_what_the_table_says)
    {
        check_wrapped(FAULT_WRAPPED, fault_calls, fault_call_count);
        if (sizeof FAULT_CLIENTS > 1)
            check_wrapped(FAULT_CLIENTS, fault_client_calls, fault_client_call_count);
    }
END_TEST

/* Of objects in which the wrappers are already. */
START_TEST(wraps_or_excuses_every_call_of_srunctl_and_the_plugins)
    {
        if (sizeof FAULT_CLIENTS == 1)
            return; /* something that they need is not here */
        struct names needed = ask_nm("--undefined-only", FAULT_CLIENTS);
        for (size_t i = 0; i < needed.count; i++) {
            const char *name = needed.list[i];
            if (strncmp(name, "__wrap_", 7) != 0 && !is_of_the_compiler(name))
                ck_assert_msg(find(name) != NULL || find_in(fault_client_calls,
                                                            fault_client_call_count, name) != NULL,
                              "%s: neither wrapped nor excused in calls.c", name);
        }
        free(needed.list);
    }
END_TEST

static void check_order(const struct fault_call *calls, size_t count)
{
    for (size_t i = 1; i < count; i++)
        ck_assert_str_lt(calls[i - 1].name, calls[i].name);
}

START_TEST(knows_each_call_once_and_in_order)
    {
        check_order(fault_calls, fault_call_count);
        check_order(fault_client_calls, fault_client_call_count);
    }
END_TEST

int main(void)
{
    return HARNESS(
        "fault.calls", wraps_or_excuses_every_call_of_the_library, wraps_what_the_table_says,
        wraps_or_excuses_every_call_of_srunctl_and_the_plugins, knows_each_call_once_and_in_order);
}
