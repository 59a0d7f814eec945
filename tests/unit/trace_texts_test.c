/* SPDX-License-Identifier: MIT
 *
 * The ring of texts that contexts refer to.
 */
#include "telemetry/texts.h"

#include "base/ensure.h"
#include "harness.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

START_TEST(forgets_old_texts_and_never_mistakes_them)
    {
        char text[TEXTS_MAX + 2], out[TEXTS_MAX + 1];
        uint64_t first = texts_keep("first", 5), again = texts_keep("first", 5);
        ck_assert_uint_eq(first, again);
        ck_assert_uint_eq(texts_read(first, out, sizeof out), 5);
        ck_assert_uint_eq(texts_read(first, out, 5), 0);
        ck_assert_uint_eq(texts_keep("", 0), 0);
        memset(text, 'x', sizeof text);
        ck_assert_uint_eq(texts_keep(text, TEXTS_MAX + 1), 0);
        uint64_t kept[600];
        for (unsigned i = 0; i < COUNT_OF(kept); i++) {
            memcpy(text, &i, sizeof i);
            kept[i] = texts_keep(text, TEXTS_MAX);
        }
        ck_assert_uint_eq(texts_read(first, out, sizeof out), 0);
        ck_assert_str_eq(out, "");
        for (unsigned i = 0; i < COUNT_OF(kept); i++) {
            size_t size = texts_read(kept[i], out, sizeof out);
            bool is_there = i > COUNT_OF(kept) - TEXTS_SIZE / TEXTS_MAX + 1;
            ck_assert(size == (is_there ? TEXTS_MAX : 0) ||
                      i == COUNT_OF(kept) - TEXTS_SIZE / TEXTS_MAX + 1);
            ck_assert(size == 0 || memcmp(out, &i, sizeof i) == 0);
        }
        ck_assert_uint_eq(texts_read(UINT64_MAX, out, sizeof out), 0);
        ck_assert_uint_eq(texts_read(1, out, sizeof out), 0);
        ck_assert_uint_eq(texts_read(kept[599] | 0x3fff, out, sizeof out), 0);
        /* What comes often stays. */
        for (unsigned i = 0; i < 5000; i++) {
            uint64_t often = texts_keep("often", 5);
            memcpy(text, &i, sizeof i);
            (void)texts_keep(text, TEXTS_MAX);
            ck_assert_uint_eq(texts_read(often, out, sizeof out), 5);
        }
    }
END_TEST

START_TEST(begins_without_texts_in_a_forked_child)
    {
        char out[100];
        uint64_t kept = texts_keep("parent", 6);
        pid_t pid = fork();
        if (pid == 0) {
            bool good = texts_read(kept, out, sizeof out) == 0;
            uint64_t own = texts_keep("child", 5);
            good = good && texts_read(own, out, sizeof out) == 5 && strcmp(out, "child") == 0;
            _exit(good ? 0 : 1);
        }
        int status;
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert_int_eq(status, 0);
        ck_assert_uint_eq(texts_read(kept, out, sizeof out), 6);
    }
END_TEST

int main(void)
{
    return HARNESS("trace_texts", forgets_old_texts_and_never_mistakes_them,
                   begins_without_texts_in_a_forked_child);
}
