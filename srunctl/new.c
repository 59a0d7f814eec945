/* SPDX-License-Identifier: MIT
 *
 * new: a program on libsrun in a folder of its own, from the files in template/. All of them are
 * there at the end, or none: they are written into a folder beside it, which then takes the name.
 */
#include "base/fd.h"
#include "srunctl.h"
#include "template.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_LIMIT 32

/* --- the name -------------------------------------------------------------------------------- */

/* The program has this name in the folder of the build as well, where these mean something. */
static bool is_taken(const char *name)
{
    static const char *const taken[] = {"all",     "clean",      "help", "install",
                                        "package", "preinstall", "test"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++)
        if (strcmp(name, taken[i]) == 0)
            return true;
    return false;
}

/* Good for a file, a unit, a metric and a target of CMake. */
static int check_name(const char *name)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
    static const char others[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    size_t size = strlen(name);
    if (size == 0 || size > NAME_LIMIT || strchr(letters, name[0]) == NULL ||
        name[strspn(name, others)] != '\0' || name[size - 1] == '-')
        return fail(USAGE,
                    "new \"%s\": a name is a letter and up to %d letters, digits and -, all in "
                    "lower case, the last one no -",
                    name, NAME_LIMIT - 1);
    if (is_taken(name))
        return fail(USAGE, "new \"%s\": CMake has a target of this name; take another one", name);
    return YES;
}

/* --- one file -------------------------------------------------------------------------------- */

static void add_renamed(struct buf *out, const char *text, const char *name)
{
    const char *found;
    while ((found = strstr(text, TEMPLATE_NAME)) != NULL) {
        buf_add(out, text, (size_t)(found - text));
        buf_text(out, name);
        text = found + strlen(TEMPLATE_NAME);
    }
    buf_text(out, text);
}

/* In the path of a file the name stands once at most. */
static void rename_path(char out[PATH_MAX], const char *path, const char *name)
{
    const char *found = strstr(path, TEMPLATE_NAME);
    size_t before = found != NULL ? (size_t)(found - path) : strlen(path);
    const char *behind = found != NULL ? found + strlen(TEMPLATE_NAME) : "";
    (void)snprintf(out, PATH_MAX, "%.*s%s%s", (int)before, path, found != NULL ? name : "", behind);
}

static int write_text(int folder, const char *path, const struct buf *text)
{
    int fd = openat(folder, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0)
        return -errno;
    int rc = fd_write_all(fd, text->data, text->size);
    if (close(fd) < 0 && rc == 0)
        rc = -errno;
    return rc;
}

/* The path has one folder above it, or none. */
static int write_file(int folder, const struct template_file *file, const char *name)
{
    char path[PATH_MAX];
    auto_buf struct buf text = {0};
    rename_path(path, file->path, name);
    add_renamed(&text, file->text, name);
    if (text.failed)
        return -ENOMEM;
    char *slash = strchr(path, '/');
    if (slash != NULL) {
        *slash = '\0';
        if (mkdirat(folder, path, 0777) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return write_text(folder, path, &text);
}

/* --- the folder ------------------------------------------------------------------------------ */

/* What was written so far goes. */
static void remove_all(int folder, const char *path, const char *name)
{
    for (const struct template_file *file = template_files; file->path != NULL; file++) {
        char own[PATH_MAX];
        rename_path(own, file->path, name);
        (void)unlinkat(folder, own, 0);
        char *slash = strchr(own, '/');
        if (slash != NULL) {
            *slash = '\0';
            (void)unlinkat(folder, own, AT_REMOVEDIR); /* with its last file */
        }
    }
    (void)rmdir(path);
}

/* Fills the new folder and gives it its name; a folder that is there and empty gives way. */
static int fill(const char *made, const char *path, const char *name)
{
    mode_t mask = umask(0);
    (void)umask(mask);
    int folder = open(made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = folder < 0 ? -errno : 0;
    for (const struct template_file *file = template_files; rc == 0 && file->path != NULL; file++)
        rc = write_file(folder, file, name);
    if (rc == 0 && (fchmod(folder, 0777 & ~mask) < 0 || rename(made, path) < 0))
        rc = -errno;
    if (rc < 0)
        remove_all(folder, made, name); /* without the folder: itself alone */
    if (folder >= 0)
        (void)close(folder);
    return rc;
}

/* What a rename would say too, but only after all was written. */
static int check_folder(const char *path)
{
    struct stat found;
    if (lstat(path, &found) < 0)
        return errno == ENOENT ? YES : fail(NO, "%s: %s", path, strerror(errno));
    if (!S_ISDIR(found.st_mode))
        return fail(NO, "%s: is there already, and no folder", path);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return fail(NO, "%s: %s", path, strerror(errno));
    const struct dirent *entry;
    bool empty = true;
    while ((errno = 0, entry = readdir(folder)) != NULL)
        empty = empty && (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0);
    int error = errno;
    (void)closedir(folder);
    if (error != 0)
        return fail(NO, "%s: %s", path, strerror(error));
    return empty ? YES : fail(NO, "%s: is there already, and not empty", path);
}

/* Without slashes at the end; "" when it is too long or has no name of its own. */
static void read_path(char out[PATH_MAX], const char *text)
{
    size_t size = strlen(text);
    while (size > 1 && text[size - 1] == '/')
        size--;
    (void)snprintf(out, PATH_MAX, "%.*s", size < PATH_MAX ? (int)size : 0, text);
    const char *slash = strrchr(out, '/');
    const char *last = slash != NULL ? slash + 1 : out;
    if (strcmp(last, ".") == 0 || strcmp(last, "..") == 0 || last[0] == '\0')
        out[0] = '\0';
}

int run_new(struct options *options)
{
    char path[PATH_MAX], made[PATH_MAX + sizeof ".XXXXXX"];
    const char *name = options->argument;
    if (name == NULL)
        return fail(USAGE, "new: a NAME is missing, which the program will have");
    int answer = check_name(name);
    if (answer != YES)
        return answer;
    const char *wanted = options->folder != NULL ? options->folder : name;
    read_path(path, wanted);
    if (path[0] == '\0')
        return fail(
            USAGE, "--dir \"%s\": the path of a new or empty folder, which does not end in . or ..",
            wanted);
    answer = check_folder(path);
    if (answer != YES)
        return answer;
    (void)snprintf(made, sizeof made, "%s.XXXXXX", path);
    if (mkdtemp(made) == NULL)
        return fail(NO, "%s: %s", path, strerror(errno));
    int rc = fill(made, path, name);
    if (rc < 0)
        return fail(NO, "%s: %s", path, strerror(-rc));
    printf("%s is in %s; what now:\n\n"
           "    cmake -S %s -B %s/build && cmake --build %s/build\n"
           "    ctest --test-dir %s/build\n"
           "    %s/build/%s\n\n"
           "%s/README.md goes on from there.\n",
           name, path, path, path, path, path, path, name, path);
    return YES;
}
