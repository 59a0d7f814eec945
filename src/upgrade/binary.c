/* SPDX-License-Identifier: MIT
 *
 * Which file is to be run in our place, and may it be. Any thread. Never runs anything, and never
 * follows a symbolic link for others: it may be switched.
 */
#include "upgrade/binary.h"

#include "base/auto.h"
#include "base/duration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- where it lies --------------------------------------------------------------------------- */

/* folder/name, where folder may be relative to the one of the start. NULL with errno. */
static char *joined(const char *start, const char *folder, size_t length, const char *name)
{
    bool absolute = length > 0 && folder[0] == '/';
    if (!absolute && start == NULL) {
        errno = ENOENT;
        return NULL;
    }
    size_t size = (absolute ? 0 : strlen(start) + 1) + length + 1 + strlen(name) + 1;
    char *path = malloc(size);
    if (path == NULL)
        return NULL;
    bool at_root = start != NULL && strcmp(start, "/") == 0;
    (void)snprintf(path, size, "%s%s%.*s%s%s", absolute || at_root ? "" : start,
                   absolute ? "" : "/", (int)length, folder, length > 0 ? "/" : "", name);
    return path;
}

enum match { NO_MATCH, SAME_NAME, SAME_FILE };

static enum match match(const struct origin *origin, const char *path)
{
    struct stat info;
    if (stat(path, &info) < 0 || !S_ISREG(info.st_mode) ||
        faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return NO_MATCH;
    bool same = info.st_dev == origin->exe_device && info.st_ino == origin->exe_inode;
    return same ? SAME_FILE : SAME_NAME;
}

/* A deployment may have replaced the file while we were starting. */
static bool running_file_was_removed(void)
{
    struct stat info;
    return stat("/proc/self/exe", &info) == 0 && info.st_nlink == 0;
}

static int find_by_path(struct origin *origin, const char *path)
{
    const char *name = origin->argv[0];
    auto_free char *other = NULL;
    for (const char *end; path != NULL; path = *end == ':' ? end + 1 : NULL) {
        end = strchrnul(path, ':');
        auto_free char *candidate = joined(origin->folder, path, (size_t)(end - path), name);
        if (candidate == NULL && errno == ENOMEM)
            return -ENOMEM;
        enum match found = candidate != NULL ? match(origin, candidate) : NO_MATCH;
        if (found == SAME_FILE) {
            origin->binary = take_ptr(candidate);
            return 0;
        }
        if (found == SAME_NAME && other == NULL)
            other = take_ptr(candidate);
    }
    /* A chance namesake must not be run with our arguments: argv[0] can be anything. */
    if (running_file_was_removed())
        origin->binary = take_ptr(other);
    return 0;
}

int binary_find(struct origin *origin, const char *path)
{
    const char *name = origin->argv[0];
    origin->binary = NULL;
    if (name == NULL || name[0] == '\0')
        return 0;
    if (strchr(name, '/') == NULL)
        return find_by_path(origin, path != NULL ? path : "/bin:/usr/bin"); /* as execvp does */
    if (name[0] == '/')
        origin->binary = strdup(name);
    else if (origin->folder != NULL)
        origin->binary = joined(origin->folder, "", 0, name);
    else
        return 0;
    return origin->binary != NULL ? 0 : -ENOMEM;
}

/* --- may it be run --------------------------------------------------------------------------- */

static bool is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* Who may write into a folder may put another file there; a sticky one keeps files to their
 * owners. */
static int check_folder(const char *folder, srun_err *err)
{
    struct stat info;
    if (stat(folder, &info) < 0)
        return srun_fail(err, -errno, "%s: %m", folder);
    if (!is_trusted(info.st_uid))
        return srun_fail(err, -EPERM, "%s belongs to user %u, neither root nor us", folder,
                         (unsigned)info.st_uid);
    if ((info.st_mode & (S_IWGRP | S_IWOTH)) != 0 && (info.st_mode & S_ISVTX) == 0)
        return srun_fail(err, -EPERM, "%s is writable by %s (mode %04o)", folder,
                         (info.st_mode & S_IWOTH) != 0 ? "all" : "its group",
                         (unsigned)info.st_mode & 07777);
    return 0;
}

/* All the folders on the way to it. */
static int check_folders(const char *path, srun_err *err)
{
    auto_free char *folder = strdup(path);
    if (folder == NULL)
        return srun_fail(err, -ENOMEM, "%s: out of memory", path);
    for (char *slash; (slash = strrchr(folder, '/')) != NULL;) {
        slash[slash == folder] = '\0';
        int rc = check_folder(folder, err);
        if (rc < 0 || slash == folder)
            return rc;
    }
    return 0;
}

static int check_all_folders(const char *path, srun_err *err)
{
    auto_free char *resolved = realpath(path, NULL);
    if (resolved == NULL)
        return srun_fail(err, -errno, "%s: %m", path);
    int rc = check_folders(path, err);
    return rc < 0 || strcmp(path, resolved) == 0 ? rc : check_folders(resolved, err);
}

/* Set-id bits that change who we are: such a process must not believe what it inherits, so it
 * could not take over. */
static bool changes_identity(const struct stat *info)
{
    return ((info->st_mode & S_ISUID) != 0 && info->st_uid != geteuid()) ||
           ((info->st_mode & S_ISGID) != 0 && (info->st_mode & S_IXGRP) != 0 &&
            info->st_gid != getegid());
}

static int check_file(const char *path, const struct stat *info, bool allow_writable, srun_err *err)
{
    if (S_ISDIR(info->st_mode))
        return srun_fail(err, -EISDIR, "%s is a folder", path);
    if (!S_ISREG(info->st_mode))
        return srun_fail(err, -EACCES, "%s is not a regular file", path);
    if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
        return srun_fail(err, -errno, "%s is not executable: %m", path);
    if (!is_trusted(info->st_uid))
        return srun_fail(err, -EPERM, "%s belongs to user %u, neither root nor us", path,
                         (unsigned)info->st_uid);
    if (changes_identity(info))
        return srun_fail(err, -EPERM, "%s would run as another user or group (mode %04o)", path,
                         (unsigned)info->st_mode & 07777);
    if ((info->st_mode & (S_IWGRP | S_IWOTH)) != 0 && !allow_writable)
        return srun_fail(err, -EPERM, "%s is writable by %s (mode %04o)", path,
                         (info->st_mode & S_IWOTH) != 0 ? "all" : "its group",
                         (unsigned)info->st_mode & 07777);
    return 0;
}

int origin_check_binary(const struct origin *origin, const char *path, bool allow_writable,
                        bool *changed_in_place, srun_err *err)
{
    struct stat info;
    *changed_in_place = false;
    if (path == NULL)
        return srun_fail(err, -ENOENT, "the program's file was not found: \"%s\"",
                         origin->argv[0] != NULL ? origin->argv[0] : "");
    if (stat(path, &info) < 0)
        return srun_fail(err, -errno, "%s: %m", path);
    int rc = check_file(path, &info, allow_writable, err);
    if (rc == 0 && !allow_writable)
        rc = check_all_folders(path, err);
    if (rc < 0)
        return rc;
    int64_t mtime_ns = (int64_t)info.st_mtim.tv_sec * NS_PER_S + info.st_mtim.tv_nsec;
    *changed_in_place = info.st_dev == origin->exe_device && info.st_ino == origin->exe_inode &&
                        mtime_ns > origin->exe_mtime_ns;
    return 0;
}
