/* SPDX-License-Identifier: MIT
 *
 * The folder with what was captured, when the system refuses: the error is told, no file is there
 * in part, and what was there before stays.
 */
#include "profile/folder.h"
#include "scenario.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char text[] = "what all threads did";

/* How many files there are, each of them whole. */
static unsigned count_files(const char *folder)
{
    unsigned count = 0;
    DIR *stream = opendir(folder);
    const struct dirent *entry;
    ck_assert_ptr_nonnull(stream);
    while ((entry = readdir(stream)) != NULL) {
        char path[600];
        struct stat found;
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        ck_assert_int_eq(stat(path, &found), 0);
        SCENARIO_ASSERT(found.st_size == (off_t)strlen(text), "%s: %ld bytes", path,
                        (long)found.st_size);
        SCENARIO_ASSERT(strstr(path, ".tmp") == NULL, "%s", path);
        count++;
    }
    (void)closedir(stream);
    return count;
}

static void keep(void *arg)
{
    static int64_t now_ms = 1000;
    char folder[256], name[FOLDER_NAME];
    struct kept_item item = {.time_ms = ++now_ms};
    srun_err err = {0};
    (void)arg;
    (void)snprintf(folder, sizeof folder, "%s/%d", harness_folder(), (int)now_ms);
    buf_text(&item.body, text);
    ck_assert_int_eq(folder_keep(folder, "test", &item, name, &err), 0);
    item.time_ms = ++now_ms;
    scenario_arm();
    int rc = folder_check(folder, &err);
    if (rc == 0)
        rc = folder_keep(folder, "test", &item, name, &err);
    (void)scenario_disarm();
    if (rc < 0)
        scenario_assert_error(rc, &err);
    unsigned count = count_files(folder);
    SCENARIO_ASSERT(count == 1u + (rc == 0), "%u files", count);
    buf_free(&item.body);
}

START_TEST(a_file_is_whole_or_not_there_whatever_fails)
    {
        scenario_each("keep", FAULT_SYSTEM | FAULT_INTERRUPT, keep, NULL);
        scenario_each_lasting("keep", FAULT_SYSTEM, keep, NULL);
    }
END_TEST

int main(void)
{
    return HARNESS("folder", a_file_is_whole_or_not_there_whatever_fails);
}
