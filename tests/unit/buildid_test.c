/* SPDX-License-Identifier: MIT
 *
 * The build id that the linker has given a program.
 */
#include "base/buildid.h"
#include "harness.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NOTE(name, id, type) name "\0\0\0" id "\0\0\0" type "\0\0\0"
#define OTHER NOTE("\5", "\2", "\3") "Fish\0\0\0\0ab\0\0"
#define OURS NOTE("\4", "\3", "\3") "GNU\0xyz"

static const unsigned char *find(const char *notes, size_t size, size_t *found)
{
    return buildid_find((const unsigned char *)notes, size, found);
}

START_TEST(finds_it_among_other_notes)
    {
        static const char notes[] = OTHER OURS "\0" OTHER;
        size_t size = 0;
        const unsigned char *id = find(notes, sizeof notes - 1, &size);
        ck_assert_ptr_nonnull(id);
        ck_assert_uint_eq(size, 3);
        ck_assert_mem_eq(id, "xyz", 3);
    }
END_TEST

START_TEST(finds_none_in_what_is_cut_or_of_another_kind)
    {
        static const char whole[] = OTHER OURS "\0",
                          property[] = NOTE("\4", "\1", "\5") "GNU\0x\0\0";
        size_t size = 0;
        for (size_t cut = 0; cut < sizeof whole - 1; cut++)
            ck_assert_ptr_null(find(whole, cut, &size));
        ck_assert_ptr_null(find(property, sizeof property, &size));
        ck_assert_ptr_null(find("\4\0\0\0\377\377\377\377\3\0\0\0GNU", 16, &size));
    }
END_TEST

static const char *self(void)
{
    static char path[PATH_MAX];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
    path[size > 0 ? size : 0] = '\0';
    return path;
}

START_TEST(knows_the_build_id_of_the_program)
    {
        char build[BUILDID_TEXT_MAX], command[PATH_MAX + 64], line[200], *told;
        ck_assert_ptr_eq(buildid_own(build), build);
        (void)snprintf(command, sizeof command, "file -L '%s' | grep -o 'BuildID[^,]*'; true",
                       self());
        FILE *pipe = popen(command, "re");
        ck_assert_ptr_nonnull(pipe);
        told = fgets(line, sizeof line, pipe);
        (void)pclose(pipe);
        ck_assert_uint_eq(strspn(build, "0123456789abcdef"), strlen(build));
        ck_assert_uint_ge(strlen(build), 16);
        if (told != NULL) /* else file(1) is not installed */
            ck_assert_ptr_nonnull(strstr(line, build));
    }
END_TEST

int main(void)
{
    return HARNESS("buildid", finds_it_among_other_notes,
                   finds_none_in_what_is_cut_or_of_another_kind, knows_the_build_id_of_the_program);
}
