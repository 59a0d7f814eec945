/* SPDX-License-Identifier: MIT */
#include "admin/mhd.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#define LIBRARY "libmicrohttpd.so.12"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static struct mhd table;
static bool loaded;

/* dlerror is of the thread, and NULL only when nothing failed. */
static int failed(srun_err *err)
{
    const char *why = dlerror();
    return srun_fail(err, -ELIBACC, "%s", why != NULL ? why : LIBRARY ": cannot be loaded");
}

static int load_locked(srun_err *err)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return failed(err);
#define LOAD(name)                                                                                 \
    table.name = (__typeof__(table.name))dlsym(library, "MHD_" #name);                             \
    if (table.name == NULL)                                                                        \
        return failed(err);
    MHD_FUNCTIONS(LOAD)
#undef LOAD
    loaded = true;
    return 0;
}

const struct mhd *mhd_load(srun_err *err)
{
    pthread_mutex_lock(&lock);
    int rc = loaded ? 0 : load_locked(err);
    pthread_mutex_unlock(&lock);
    return rc == 0 ? &table : NULL;
}
