/* SPDX-License-Identifier: MIT */
#include "admin/place.h"

#include "base/auto.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NAME_MAX_HERE 48

static int fit(char out[PLACE_MAX], srun_err *err, const char *directory, const char *file)
{
    if (snprintf(out, PLACE_MAX, "%s%s", directory, file) < PLACE_MAX)
        return 0;
    out[0] = '\0';
    return srun_fail(err, -ENAMETOOLONG,
                     "unix socket: %.60s...: the path is longer than the %d bytes that a unix "
                     "socket can have; set admin.socket to a shorter one",
                     directory, PLACE_MAX - 1);
}

/* ours: and nobody else can put anything there. */
static bool is_directory(const char *path, bool ours)
{
    struct stat found;
    return path[0] == '/' && stat(path, &found) == 0 && S_ISDIR(found.st_mode) &&
           (!ours || (found.st_uid == geteuid() && (found.st_mode & 022) == 0));
}

/* The first of a list with colons between, as systemd gives them; "" when there is none. */
static void first_of(const char *list, char out[PLACE_MAX])
{
    size_t size = list != NULL ? strcspn(list, ":") : 0;
    if (size >= PLACE_MAX)
        size = 0; /* no socket fits below it */
    if (size > 0)
        memcpy(out, list, size);
    out[size] = '\0';
}

/* Anybody may have been here before us: /tmp is everybody's. What is in the way, other than a
 * directory that only we can use, is left alone. */
static int take_directory(const char *path, bool make, srun_err *err)
{
    if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
        return srun_fail(err, -errno, "unix socket: mkdir %s: %m", path);
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat found;
    if (fd < 0 || fstat(fd, &found) < 0)
        return srun_fail(err, -errno, "unix socket: %s: %m", path);
    if (found.st_uid != geteuid() || (found.st_mode & 077) != 0)
        return srun_fail(err, -EPERM,
                         "unix socket: %s is not a directory of ours with mode 0700, so nothing in "
                         "it can be trusted; set admin.socket",
                         path);
    return 0;
}

int place_find(const char *configured, const char *name, bool make, char out[PLACE_MAX],
               srun_err *err)
{
    out[0] = '\0';
    if (configured != NULL && strcmp(configured, "none") == 0)
        return -ENOENT;
    if (configured != NULL && configured[0] != '/')
        return srun_fail(err, -EINVAL, "%.60s: accepted are none and a path that begins with /",
                         configured);
    if (configured != NULL)
        return fit(out, err, configured, "");

    char directory[PLACE_MAX], safe[NAME_MAX_HERE], file[NAME_MAX_HERE + 8];
    first_of(secure_getenv("RUNTIME_DIRECTORY"), directory);
    if (is_directory(directory, false))
        return fit(out, err, directory, "/admin.sock");

    (void)text_file_name(safe, sizeof safe, name[0] != '\0' ? name : "srun");
    const char *runtime = secure_getenv("XDG_RUNTIME_DIR");
    (void)snprintf(file, sizeof file, "/%s.sock", safe);
    if (runtime != NULL && is_directory(runtime, true))
        return fit(out, err, runtime, file);

    (void)snprintf(directory, sizeof directory, "/tmp/%s-%u", safe, (unsigned)geteuid());
    int rc = take_directory(directory, make, err);
    return rc < 0 ? rc : fit(out, err, directory, "/admin.sock");
}
