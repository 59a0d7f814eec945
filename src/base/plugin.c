/* SPDX-License-Identifier: MIT */
#include "base/plugin.h"

#include "base/libc.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef SRUN_PLUGIN_FOLDER /* CMakeLists.txt says where they will be installed */
#define SRUN_PLUGIN_FOLDER "/usr/lib/srun"
#endif

/* Beside the module this function lies in. Linked into a program there is no such module: the
 * path of a program is what its starter says it is. */
static bool path_beside(const char *library, char out[PATH_MAX])
{
    static const char here;
    const char *path = libc_module_path(&here);
    const char *slash = path != NULL ? strrchr(path, '/') : NULL;
    if (slash == NULL || path[0] != '/')
        return false;
    int size = snprintf(out, PATH_MAX, "%.*s/srun/%s", (int)(slash - path), path, library);
    return size > 0 && size < PATH_MAX && access(out, R_OK) == 0;
}

/* dlerror is of the thread, and NULL only when nothing failed. */
static const void *refused(const char *library, char *why, size_t size)
{
    const char *text = dlerror();
    if (text != NULL)
        (void)snprintf(why, size, "%s", text);
    else
        (void)snprintf(why, size, "%s: cannot be loaded", library);
    return NULL;
}

/* NULL: the one that is asked for is not absolute. */
static const char *choose(const char *library, const char *path, char usual[PATH_MAX], char *why,
                          size_t why_size)
{
    if (path == NULL) {
        if (!path_beside(library, usual))
            (void)snprintf(usual, PATH_MAX, SRUN_PLUGIN_FOLDER "/%s", library);
        return usual;
    }
    if (path[0] == '/')
        return path;
    (void)snprintf(why, why_size, "%s: not an absolute path", path);
    return NULL;
}

bool plugin_is_there(const char *library, const char *path, char *why, size_t why_size)
{
    char usual[PATH_MAX];
    path = choose(library, path, usual, why, why_size);
    if (path == NULL || access(path, R_OK) == 0)
        return path != NULL;
    (void)snprintf(why, why_size, "%s: %m", path);
    return false;
}

const void *plugin_find(const char *library, const char *path, const char *symbol, char *why,
                        size_t why_size)
{
    char usual[PATH_MAX];
    path = choose(library, path, usual, why, why_size);
    if (path == NULL)
        return NULL;
    void *loaded = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (loaded == NULL)
        return refused(library, why, why_size);
    const void *found = dlsym(loaded, symbol);
    return found != NULL ? found : refused(library, why, why_size);
}
