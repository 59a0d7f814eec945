/* SPDX-License-Identifier: MIT
 *
 * Names are PROGRAM-20261128T095341.123Z-PID.cpu.pb, so that they sort by time; .stacks.txt where
 * it is text; and with .tmp while they are written. What has another name is left alone.
 */
#include "profile/folder.h"

#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM_MAX 64
#define TIME_FORM "00000000T000000.000Z-" /* 0: a digit */
#define TMP ".tmp"
#define LEFT_BEHIND_MS (3600 * (NS_PER_S / NS_PER_MS)) /* nobody writes for so long */

/* --- names ----------------------------------------------------------------------------------- */

/* "my/app" as "my_app-". */
static void make_prefix(char out[PROGRAM_MAX], const char *program)
{
    size_t used = text_file_name(out, PROGRAM_MAX - 1, program);
    memcpy(out + used, "-", 2);
}

static void make_name(char out[FOLDER_NAME], const char *prefix, const struct kept_item *item)
{
    const int64_t ms_per_s = NS_PER_S / NS_PER_MS;
    const time_t second = (time_t)(item->time_ms / ms_per_s);
    struct tm tm = {0};
    char text[32];
    (void)gmtime_r(&second, &tm);
    (void)strftime(text, sizeof text, "%Y%m%dT%H%M%S", &tm);
    (void)snprintf(out, FOLDER_NAME, "%s%s.%03dZ-%d%s", prefix, text,
                   (int)(item->time_ms % ms_per_s), getpid(),
                   item->cpu ? ".cpu.pb" : ".stacks.txt");
}

/* Of this program: 1; the same, but not finished: -1; of nobody here: 0. */
static int whose(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    if (strncmp(name, prefix, size) != 0)
        return 0;
    name += size;
    for (const char *form = TIME_FORM; *form != '\0'; form++, name++)
        if (*form == '0' ? *name < '0' || *name > '9' : *name != *form)
            return 0;
    name += strspn(name, "0123456789");
    const char *const kinds[] = {".cpu.pb", ".stacks.txt"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t length = strlen(kinds[i]);
        if (strncmp(name, kinds[i], length) == 0 && name[length] == '\0')
            return 1;
        if (strncmp(name, kinds[i], length) == 0 && strcmp(name + length, TMP) == 0)
            return -1;
    }
    return 0;
}

/* --- the ring -------------------------------------------------------------------------------- */

struct tally {
    size_t count;
    int64_t bytes;
    char oldest[NAME_MAX + 1];
};

static void count_file(int folder, const char *name, const char *prefix, struct tally *tally)
{
    struct stat found;
    int which = whose(name, prefix);
    if (which == 0 || fstatat(folder, name, &found, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISREG(found.st_mode))
        return;
    if (which < 0) {
        int64_t changed_ms = (int64_t)found.st_mtim.tv_sec * (NS_PER_S / NS_PER_MS);
        if (clock_wall_ms() - changed_ms > LEFT_BEHIND_MS)
            (void)unlinkat(folder, name, 0); /* its writer was killed */
        return;
    }
    tally->count++;
    tally->bytes += found.st_size;
    if (tally->oldest[0] == '\0' || strcmp(name, tally->oldest) < 0)
        (void)snprintf(tally->oldest, sizeof tally->oldest, "%s", name);
}

static int count_all(int folder, const char *prefix, struct tally *tally)
{
    *tally = (struct tally){0};
    int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
    if (stream == NULL) {
        int rc = -errno;
        if (copy >= 0)
            (void)close(copy);
        return rc;
    }
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(stream)) != NULL)
        count_file(folder, entry->d_name, prefix, tally);
    int rc = -errno;
    (void)closedir(stream);
    return rc;
}

/* The oldest go, until so many more files and bytes fit. */
static int make_room(int folder, const char *prefix, size_t files, int64_t bytes)
{
    struct tally tally;
    int rc;
    while ((rc = count_all(folder, prefix, &tally)) == 0 && tally.count > 0 &&
           (tally.count + files > FOLDER_FILES || tally.bytes + bytes > FOLDER_BYTES))
        if (unlinkat(folder, tally.oldest, 0) < 0 && errno != ENOENT)
            return -errno;
    return rc;
}

/* --- a file ---------------------------------------------------------------------------------- */

/* Some file systems tell a full disk only when the file is synced or closed. */
static int fill(int fd, const struct buf *body)
{
    int rc = fd_write_all(fd, body->data, body->size);
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

static int write_whole(int folder, const char *name, const struct buf *body)
{
    char temporary[FOLDER_NAME + sizeof TMP];
    (void)snprintf(temporary, sizeof temporary, "%s" TMP, name);
    int fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = fill(fd, body);
    if (rc == 0 && renameat(folder, temporary, folder, name) < 0)
        rc = -errno;
    if (rc < 0)
        (void)unlinkat(folder, temporary, 0); /* the error that is told is the first one */
    return rc;
}

/* --- the folder ------------------------------------------------------------------------------ */

/* A descriptor, or a negative errno. Who owns a folder may do anything in it, so that is root or
 * we. In a folder where others may remove files, only the owner of each may (/tmp): else they could
 * put theirs in the place of ours. */
static int open_folder(const char *path)
{
    struct stat found;
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return -errno;
    auto_close int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) < 0)
        return -errno;
    if (found.st_uid != 0 && found.st_uid != geteuid())
        return -EPERM;
    if ((found.st_mode & 022) != 0 && (found.st_mode & S_ISVTX) == 0)
        return -EPERM;
    return take_fd(&fd);
}

static int refuse(srun_err *err, int rc, const char *path)
{
    if (rc == -EPERM)
        return srun_fail(err, rc, "captures: %s: others may change what is in it", path);
    return srun_fail(err, rc, "captures: %s: %s", path, srun_strerror(rc));
}

int folder_check(const char *path, srun_err *err)
{
    auto_close int folder = open_folder(path);
    if (folder < 0)
        return refuse(err, folder, path);
    return faccessat(folder, ".", W_OK | X_OK, AT_EACCESS) < 0 ? refuse(err, -errno, path) : 0;
}

int folder_keep(const char *path, const char *program, const struct kept_item *item,
                char name[FOLDER_NAME], srun_err *err)
{
    char prefix[PROGRAM_MAX];
    make_prefix(prefix, program);
    make_name(name, prefix, item);
    auto_close int folder = open_folder(path);
    int rc = folder < 0 ? folder : make_room(folder, prefix, 1, (int64_t)item->body.size);
    if (rc == 0)
        rc = write_whole(folder, name, &item->body);
    if (rc == 0)
        (void)make_room(folder, prefix, 0, 0); /* another process may have written meanwhile */
    return rc < 0 ? refuse(err, rc, path) : 0;
}
