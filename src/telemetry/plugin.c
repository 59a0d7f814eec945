/* SPDX-License-Identifier: MIT */
#include "telemetry/plugin.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libsrun-otlp.so.0"
#ifndef SRUN_PLUGIN_FOLDER /* cmake/Otlp.cmake says where it will be installed */
#define SRUN_PLUGIN_FOLDER "/usr/lib/srun"
#endif

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static const struct transport_plugin *loaded;

/* Beside the module this function lies in. Linked into a program there is no such module: the
 * path of a program is what its starter says it is. */
static bool path_beside(char out[PATH_MAX])
{
    Dl_info info;
    struct link_map *map = NULL;
    if (dladdr1((const void *)&loaded, &info, (void **)&map, RTLD_DL_LINKMAP) == 0 || map == NULL)
        return false;
    const char *slash = strrchr(map->l_name, '/');
    if (map->l_name[0] != '/' || slash == NULL)
        return false;
    int size =
        snprintf(out, PATH_MAX, "%.*s/srun/" LIBRARY, (int)(slash - map->l_name), map->l_name);
    return size > 0 && size < PATH_MAX && access(out, R_OK) == 0;
}

/* dlerror is of the thread, and NULL only when nothing failed. */
static int refused(srun_err *err)
{
    const char *why = dlerror();
    return srun_fail(err, -ELIBACC, "%s", why != NULL ? why : LIBRARY ": cannot be loaded");
}

/* NULL: it is not absolute. */
static const char *choose(const char *path, char beside[PATH_MAX], srun_err *err)
{
    if (path == NULL)
        path = path_beside(beside) ? beside : SRUN_PLUGIN_FOLDER "/" LIBRARY;
    if (path[0] == '/')
        return path;
    (void)srun_fail(err, -ELIBACC, "%s: not an absolute path", path);
    return NULL;
}

int plugin_find(const char *path, srun_err *err)
{
    char beside[PATH_MAX];
    path = choose(path, beside, err);
    if (path == NULL)
        return -ELIBACC;
    return access(path, R_OK) == 0 ? 0 : srun_fail(err, -ELIBACC, "%s: %m", path);
}

static int load_locked(const char *path, srun_err *err)
{
    char beside[PATH_MAX];
    path = choose(path, beside, err);
    if (path == NULL)
        return -ELIBACC;
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return refused(err);
    const struct transport_plugin *plugin = dlsym(library, TRANSPORT_SYMBOL);
    if (plugin == NULL)
        return refused(err);
    if (plugin->size != sizeof *plugin || strcmp(plugin->version, SRUN_VERSION_TEXT) != 0)
        return srun_fail(err, -ELIBBAD, "%s: is not of version " SRUN_VERSION_TEXT, path);
    loaded = plugin;
    return 0;
}

int plugin_load(const char *path, const struct transport_plugin **out, srun_err *err)
{
    pthread_mutex_lock(&lock);
    int rc = loaded != NULL ? 0 : load_locked(path, err);
    if (rc == 0)
        *out = loaded;
    pthread_mutex_unlock(&lock);
    return rc;
}
