/* SPDX-License-Identifier: MIT
 *
 * Any thread. Never touches the umask, which all threads share. A path is removed only when it is
 * a socket, and the one that was meant.
 */
#include "upgrade/bind.h"

#include "base/auto.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODE_DEFAULT 0666 /* less the umask, which bind(2) sees to */
#define MODE_MASK 0777

static int fail(srun_err *err, const struct address *address, int error, const char *what)
{
    char text[ADDRESS_TEXT_MAX];
    (void)address_format(address, text, sizeof text); /* any fits */
    errno = error;
    return srun_fail(err, -error, "%s: %s: %m", text, what);
}

/* What is the matter mostly, which the system's words do not say. */
static const char *hint_of(const struct address *address, int error)
{
    if (address->has_path)
        return error == ENOENT ? ": there is no such folder" : "";
    switch (error) {
    case EADDRINUSE:
        return ": another process has it, see ss -lntup";
    case EACCES:
        return ": ports below 1024 take CAP_NET_BIND_SERVICE, or a socket of the service manager";
    case EADDRNOTAVAIL:
        return ": this machine does not have this address";
    default:
        return "";
    }
}

static int bind_failed(srun_err *err, const struct address *address)
{
    char text[ADDRESS_TEXT_MAX];
    int error = errno;
    (void)address_format(address, text, sizeof text); /* any fits */
    errno = error;
    return srun_fail(err, -error, "%s: bind: %m%s", text, hint_of(address, error));
}

static int set_flag(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value);
}

/* v6only is always said, since the system's default may change between two generations. A second
 * socket of datagrams with SO_REUSEADDR would take over the first one's port. */
static int set_options(int fd, const struct address *address,
                       const struct srun_listen_options *options, bool shared)
{
    bool inet = address->family == AF_INET || address->family == AF_INET6;
    if (inet && address->type == SOCK_STREAM && set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0)
        return -1;
    if (address->family == AF_INET6 &&
        set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, options->v6only != 0) < 0)
        return -1;
    return inet && shared ? set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
}

static bool look_at(const char *path, struct stat *out)
{
    return lstat(path, out) == 0 && S_ISSOCK(out->st_mode);
}

static int unlink_same(const char *path, const struct bind_path *same)
{
    struct stat now;
    if (!look_at(path, &now) || now.st_dev != same->device || now.st_ino != same->inode)
        return 0; /* gone, or another's by now */
    return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}

/* Whoever is dead refuses connections. (So does one who has bound and not yet listens: two programs
 * that start at once and want the same path are not told apart.) */
static int probe(const struct address *address)
{
    auto_close int fd = socket(AF_UNIX, address->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = connect(fd, (const struct sockaddr *)&address->socket, address->length);
    return rc == 0 ? 0 : -errno;
}

/* Removes a path that nobody serves any more. 0: try again. */
static int replace_stale(const struct address *address, srun_err *err)
{
    struct stat found;
    const char *path = address_path(address);
    if (lstat(path, &found) < 0)
        return errno == ENOENT ? 0 : fail(err, address, errno, "lstat");
    if (!S_ISSOCK(found.st_mode))
        return fail(err, address, EADDRINUSE, "the path is not a socket and is left alone");
    int rc = probe(address);
    if (rc == -ENOENT)
        return 0;
    if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS)
        return fail(err, address, -rc, "socket");
    if (rc != -ECONNREFUSED) /* EAGAIN: its queue is full; EPROTOTYPE: of another type */
        return fail(err, address, EADDRINUSE, "a process serves there");
    rc = unlink_same(path, &(struct bind_path){.device = found.st_dev, .inode = found.st_ino});
    return rc < 0 ? fail(err, address, -rc, "unlink of the path that a dead process left") : 0;
}

static int bind_replacing(int fd, const struct address *address, srun_err *err)
{
    const struct sockaddr *to = (const struct sockaddr *)&address->socket;
    if (bind(fd, to, address->length) == 0)
        return 0;
    if (errno != EADDRINUSE || !address->has_path)
        return bind_failed(err, address);
    int rc = replace_stale(address, err);
    if (rc < 0)
        return rc;
    return bind(fd, to, address->length) == 0 ? 0 : bind_failed(err, address);
}

/* Never by way of a symbolic link that somebody has put there. */
static int set_mode(const char *path, unsigned mode)
{
    struct stat now;
    if (!look_at(path, &now))
        return -ENOENT;
    if ((now.st_mode & MODE_MASK) == mode)
        return 0;
    return fchmodat(AT_FDCWD, path, (mode_t)mode, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* The path gets the mode of the socket's descriptor, less the umask: so it is at no time more open
 * than asked for, which datagrams need, as they arrive from bind on. What the umask took away is
 * given back afterwards. */
static int bind_path_of(int fd, const struct address *address, unsigned mode,
                        struct bind_path *path, srun_err *err)
{
    if (fchmod(fd, mode != 0 ? (mode_t)mode : MODE_DEFAULT) < 0)
        return fail(err, address, errno, "fchmod");
    int rc = bind_replacing(fd, address, err);
    if (rc < 0)
        return rc;
    struct stat made;
    if (!look_at(address_path(address), &made))
        return fail(err, address, EADDRINUSE, "somebody has replaced the path");
    *path = (struct bind_path){.device = made.st_dev, .inode = made.st_ino};
    rc = mode != 0 ? set_mode(address_path(address), mode) : 0;
    return rc < 0 ? fail(err, address, -rc, "chmod") : 0;
}

int bind_set_backlog(int fd, const struct address *address, int backlog)
{
    if (address->type == SOCK_DGRAM || backlog == BIND_AS_IT_IS)
        return 0;
    return listen(fd, backlog > 0 ? backlog : SOMAXCONN) < 0 ? -errno : 0;
}

int bind_open(const struct address *address, const struct srun_listen_options *options, bool shared,
              struct bind_path *path, srun_err *err)
{
    *path = (struct bind_path){0};
    auto_close int fd = socket(address->family, address->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fail(err, address, errno, "socket");
    if (set_options(fd, address, options, shared) < 0)
        return fail(err, address, errno, "setsockopt");
    int rc = address->has_path ? bind_path_of(fd, address, options->mode, path, err)
                               : bind_replacing(fd, address, err);
    int listening = rc < 0 ? 0 : bind_set_backlog(fd, address, options->backlog);
    if (listening < 0)
        rc = fail(err, address, -listening, "listen");
    if (rc < 0) {
        bind_unlink(address, path);
        return rc;
    }
    return take_fd(&fd);
}

/* It says something only of the address that stands for all. */
static bool v6only_differs(int fd, const struct address *address,
                           const struct srun_listen_options *options)
{
    int v6only = 0;
    socklen_t size = sizeof v6only;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->socket;
    return address->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) &&
           getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &size) == 0 &&
           (v6only != 0) != (options->v6only != 0);
}

const char *bind_adopt(int fd, const struct address *address,
                       const struct srun_listen_options *options)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags >= 0 && (flags & O_NONBLOCK) == 0)
        (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK); /* on a socket these two do not fail */
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return v6only_differs(fd, address, options) ? "v6only" : NULL;
}

int bind_share(int fd)
{
    return set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1) < 0 ? -errno : 0;
}

int bind_mode(const struct address *address, const struct bind_path *path)
{
    struct stat now;
    bool same = address->has_path && path->inode != 0 && look_at(address_path(address), &now) &&
                now.st_dev == path->device && now.st_ino == path->inode;
    return same ? (int)(now.st_mode & MODE_MASK) : BIND_AS_IT_IS;
}

bool bind_is_same(const struct address *address, const struct bind_path *path)
{
    return bind_mode(address, path) != BIND_AS_IT_IS;
}

int bind_set_mode(const struct address *address, const struct bind_path *path, int mode)
{
    if (mode == BIND_AS_IT_IS || !bind_is_same(address, path))
        return 0;
    return set_mode(address_path(address), (unsigned)mode);
}

void bind_unlink(const struct address *address, const struct bind_path *path)
{
    if (address->has_path && path->inode != 0)
        (void)unlink_same(address_path(address), path); /* a path more is no harm */
}

static int ask(int fd, int option, int *out)
{
    socklen_t size = sizeof *out;
    return getsockopt(fd, SOL_SOCKET, option, out, &size) < 0 ? -errno : 0;
}

int bind_check(int fd, const struct address *address)
{
    int family = 0, type = 0, listens = 0;
    int rc = ask(fd, SO_TYPE, &type);
    if (rc == 0)
        rc = ask(fd, SO_DOMAIN, &family);
    if (rc == 0)
        rc = ask(fd, SO_ACCEPTCONN, &listens);
    if (rc < 0)
        return rc;
    if (family != address->family)
        return -EAFNOSUPPORT;
    if (type != address->type)
        return -EPROTOTYPE;
    return listens != 0 || type == SOCK_DGRAM ? 0 : -EINVAL;
}
