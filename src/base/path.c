/* SPDX-License-Identifier: MIT */
#include "base/path.h"

#include "base/auto.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

int path_make_absolute(char **path)
{
    if (*path == NULL || **path == '\0' || **path == '/')
        return 0;
    auto_free char *folder = getcwd(NULL, 0);
    if (folder == NULL)
        return -errno;
    size_t size = strlen(folder) + 1 + strlen(*path) + 1;
    if (size > PATH_MAX)
        return -ENAMETOOLONG;
    char *whole = malloc(size);
    if (whole == NULL)
        return -ENOMEM;
    const char *slash = folder[1] != '\0' ? "/" : ""; /* the root ends in one */
    (void)stpcpy(stpcpy(stpcpy(whole, folder), slash), *path);
    free(*path);
    *path = whole;
    return 0;
}
