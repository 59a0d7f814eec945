/* SPDX-License-Identifier: MIT
 *
 * Fails when it was given a descriptor besides 0, 1 and 2.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
    DIR *folder = opendir("/proc/self/fd");
    int found = 0;
    if (folder == NULL)
        return 4;
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd <= STDERR_FILENO || fd == dirfd(folder))
            continue;
        char path[64], what[256];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, what, sizeof what);
        (void)fprintf(stderr, "inherited %d %.*s\n", fd, length > 0 ? (int)length : 0, what);
        found = 3;
    }
    (void)closedir(folder);
    return found;
}
