/* SPDX-License-Identifier: MIT */
#include "upgrade/budget.h"

#include <dirent.h>
#include <errno.h>
#include <sys/resource.h>

/* 0 or a negative errno. */
static int count_open(size_t *out)
{
    DIR *folder = opendir("/proc/self/fd");
    size_t count = 0;
    if (folder == NULL)
        return -errno;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    *out = count > 3 ? count - 3 : 0; /* not the two dots, nor the one that it is read by */
    return 0;
}

int budget_check(size_t more, srun_err *err)
{
    struct rlimit limit;
    size_t open = 0;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    unsigned long long most = limit.rlim_cur;
    int rc = count_open(&open);
    if (rc == -EMFILE)
        return srun_fail(err, rc,
                         "no room for %zu descriptors: all are in use, and the limit is %llu "
                         "(RLIMIT_NOFILE)",
                         more, most);
    if (rc < 0 || open + more <= most)
        return 0;
    return srun_fail(err, -EMFILE,
                     "no room for %zu descriptors beside %zu that are open: the limit is %llu "
                     "(RLIMIT_NOFILE)",
                     more, open, most);
}
