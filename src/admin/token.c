/* SPDX-License-Identifier: MIT */
#include "admin/token.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define ACCEPTED                                                                                   \
    "accepted is a regular file that belongs to root or to the program's user, closed to others "  \
    "(mode 0600 or 0400; 0440 below $CREDENTIALS_DIRECTORY)"

static int refuse(const char *path, const char *what, srun_err *err)
{
    return srun_fail(err, -EINVAL, "token file %.100s: %s; " ACCEPTED, path, what);
}

static bool is_trusted(uid_t owner)
{
    return owner == 0 || owner == geteuid();
}

/* Is the path that of an entry of $CREDENTIALS_DIRECTORY? Its length, or 0. */
static size_t credentials_size(const char *path)
{
    const char *folder = secure_getenv("CREDENTIALS_DIRECTORY");
    size_t size = folder != NULL && folder[0] == '/' ? strlen(folder) : 0;
    bool inside = size > 0 && strncmp(path, folder, size) == 0 && path[size] == '/' &&
                  strchr(path + size + 1, '/') == NULL;
    return inside ? size : 0;
}

/* systemd lets the user of a service read a credential by an entry of an access control list, whose
 * mask is shown as the rights of the group, which itself has none. So that of an entry of the
 * folder counts, if the folder is closed to others and nobody but we or root can have put it there.
 */
static bool is_credential(const struct token *token, const struct stat *file)
{
    char folder[PATH_MAX];
    struct stat parent, entry;
    if (token->credentials == 0 || token->credentials >= sizeof folder)
        return false;
    memcpy(folder, token->path, token->credentials);
    folder[token->credentials] = '\0';
    return lstat(folder, &parent) == 0 && S_ISDIR(parent.st_mode) && is_trusted(parent.st_uid) &&
           (parent.st_mode & 027) == 0 && lstat(token->path, &entry) == 0 &&
           entry.st_dev == file->st_dev && entry.st_ino == file->st_ino;
}

static int check_file(const struct token *token, const struct stat *file, srun_err *err)
{
    if (!S_ISREG(file->st_mode))
        return refuse(token->path, "not a regular file", err);
    if (!is_trusted(file->st_uid))
        return refuse(token->path, "belongs to somebody else", err);
    if ((file->st_mode & 037) != 0 || ((file->st_mode & 040) != 0 && !is_credential(token, file)))
        return refuse(token->path, "others may use it", err);
    return 0;
}

/* Up to one more byte than there may be. */
static ssize_t read_some(int fd, char *out, size_t size)
{
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(fd, out + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        used += (size_t)got;
    }
    return (ssize_t)used;
}

static int check_text(const char *path, char *text, size_t size, srun_err *err)
{
    while (size > 0 && (text[size - 1] == '\n' || text[size - 1] == '\r'))
        size--;
    text[size] = '\0';
    bool printable = true;
    for (size_t i = 0; i < size; i++)
        printable &= text[i] > ' ' && text[i] < 0x7f;
    if (printable && size >= TOKEN_MIN && size <= TOKEN_MAX)
        return 0;
    explicit_bzero(text, TOKEN_MAX + 3);
    return srun_fail(err, -EINVAL,
                     "token file %.100s: accepted is one line of %d to %d printable characters "
                     "without spaces",
                     path, TOKEN_MIN, TOKEN_MAX);
}

/* A symbolic link may lead there, as with secrets that a cluster mounts; what counts is the file.
 * A pipe must not hold us up. */
static int read_file(const struct token *token, struct stat *seen, char out[TOKEN_TEXT_MAX],
                     srun_err *err)
{
    const char *path = token->path;
    auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, seen) < 0)
        return srun_fail(err, -errno, "token file %.100s: %m", path);
    int rc = check_file(token, seen, err);
    if (rc < 0)
        return rc;
    char text[TOKEN_MAX + 3]; /* CR LF, and one more that is too much */
    ssize_t size = read_some(fd, text, sizeof text - 1);
    if (size < 0)
        return srun_fail(err, (int)size, "token file %.100s: %s", path, srun_strerror((int)size));
    rc = check_text(path, text, (size_t)size, err);
    if (rc == 0)
        memcpy(out, text, strlen(text) + 1);
    explicit_bzero(text, sizeof text);
    return rc;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mode == b->st_mode && a->st_uid == b->st_uid &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* Is the file as it was when it was read? One that cannot be looked at any more, since the program
 * has given up its privileges, is; one that is gone is not. */
static bool is_unchanged(struct token *token, struct stat *now)
{
    int gone = stat(token->path, now) == 0 ? 0 : errno;
    if (gone != 0)
        memset(now, 0, sizeof *now);
    pthread_mutex_lock(&token->lock);
    bool unchanged = gone == EACCES || is_same(now, &token->seen);
    pthread_mutex_unlock(&token->lock);
    return unchanged;
}

static void keep(struct token *token, const struct stat *seen, int code, const char *text)
{
    pthread_mutex_lock(&token->lock);
    token->seen = *seen;
    token->code = code;
    explicit_bzero(token->text, sizeof token->text);
    if (code == 0)
        memcpy(token->text, text, strlen(text) + 1);
    pthread_mutex_unlock(&token->lock);
}

static int read_again(struct token *token, const struct stat *now, srun_err *err)
{
    const struct stat never = {0};
    struct stat seen = *now;
    char text[TOKEN_TEXT_MAX] = "";
    int rc = read_file(token, &seen, text, err);
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM) /* which says nothing of the file */
        seen = never;
    else if (rc < 0)
        seen = *now;
    keep(token, &seen, rc, text);
    explicit_bzero(text, sizeof text);
    return rc;
}

int token_init(struct token *token, const char *path, srun_err *err)
{
    memset(token, 0, sizeof *token);
    token->path = path;
    token->code = -ENOENT;
    int rc = -pthread_mutex_init(&token->lock, NULL);
    if (rc < 0)
        return srun_fail(err, rc, "token file: %s", srun_strerror(rc));
    if (path == NULL)
        return 0;
    token->credentials = credentials_size(path);
    struct stat now = {0};
    rc = read_again(token, &now, err);
    if (rc < 0)
        token_destroy(token);
    return rc;
}

void token_destroy(struct token *token)
{
    explicit_bzero(token->text, sizeof token->text);
    (void)pthread_mutex_destroy(&token->lock); /* nobody holds it */
}

bool token_get(struct token *token, char out[TOKEN_TEXT_MAX], srun_err *err)
{
    out[0] = '\0';
    err->code = 0;
    if (token->path == NULL)
        return false;
    struct stat now;
    if (!is_unchanged(token, &now))
        (void)read_again(token, &now, err); /* err has it, and the code is kept */
    pthread_mutex_lock(&token->lock);
    bool good = token->code == 0;
    if (good)
        memcpy(out, token->text, sizeof token->text);
    pthread_mutex_unlock(&token->lock);
    return good;
}
