/* SPDX-License-Identifier: MIT */
#include "upgrade/budget.h"

#include "base/proc.h"

#include <errno.h>
#include <sys/resource.h>

int budget_check(size_t more, srun_err *err)
{
    struct rlimit limit;
    struct proc_list open;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return 0;
    unsigned long long most = limit.rlim_cur;
    int rc = proc_descriptors(&open);
    size_t count = open.count;
    proc_list_free(&open);
    if (rc == -EMFILE)
        return srun_fail(err, rc,
                         "no room for %zu descriptors: all are in use, and the limit is %llu "
                         "(RLIMIT_NOFILE)",
                         more, most);
    if (rc < 0 || count + more <= most)
        return 0;
    return srun_fail(err, -EMFILE,
                     "no room for %zu descriptors beside %zu that are open: the limit is %llu "
                     "(RLIMIT_NOFILE)",
                     more, count, most);
}
