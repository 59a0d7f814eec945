/* SPDX-License-Identifier: MIT */
#include "wrap.h"

#include "sites.h"
#include "wrapping.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <popt.h>
#include <pthread.h>
#include <search.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <yaml.h>

static _Atomic unsigned armed;
static _Atomic long countdown;
static _Atomic bool keeps_failing;
static _Atomic unsigned failed;
static const char *_Atomic first_name = "none", *_Atomic second_name = NULL;
static _Atomic int first_errno, second_errno;
static _Atomic unsigned armed_point;
static _Atomic(uintptr_t) second_at; /* a site: fails once, after the k-th, or if there is none */
static _Atomic long blocks;
static _Atomic int output_fd = -1;
static _Atomic bool hurries;

void fault_arm(unsigned kinds, unsigned k, bool lasting)
{
    atomic_store(&countdown, k);
    atomic_store(&keeps_failing, lasting && k > 0);
    atomic_store(&failed, 0);
    atomic_store(&first_name, "none");
    atomic_store(&first_errno, 0);
    atomic_store(&second_name, NULL);
    atomic_store(&second_errno, 0);
    atomic_store(&armed_point, k);
    atomic_store(&armed, kinds);
}

void fault_arm_second(uintptr_t at)
{
    atomic_store(&second_at, at);
}

unsigned fault_disarm(void)
{
    atomic_store(&armed, 0);
    return atomic_load(&failed);
}

const char *fault_name(void)
{
    return atomic_load(&first_name);
}

int fault_errno(void)
{
    return atomic_load(&first_errno);
}

const char *fault_second_name(void)
{
    return atomic_load(&second_name);
}

int fault_second_errno(void)
{
    return atomic_load(&second_errno);
}

long fault_blocks(void)
{
    return atomic_load(&blocks);
}

void fault_output_fd(int fd)
{
    atomic_store(&output_fd, fd);
}

void fault_hurry(void)
{
    atomic_store(&hurries, true);
}

bool fault_fails_at(uintptr_t at, const char *name, unsigned kind, int error)
{
    if ((atomic_load(&armed) & kind) == 0)
        return false;
    long left = atomic_fetch_sub(&countdown, 1);
    bool second = at == atomic_load(&second_at) && left < 1;
    if (left != 1 && !(left < 1 && atomic_load(&keeps_failing)) && !second) {
        sites_reached(at, name, atomic_load(&armed_point));
        return false;
    }
    sites_failed(at, name);
    if (second)
        atomic_store(&second_at, 0);
    if (atomic_fetch_add(&failed, 1) == 0) {
        sites_tried();
        atomic_store(&first_name, name);
        atomic_store(&first_errno, error);
    } else if (second) {
        atomic_store(&second_name, name);
        atomic_store(&second_errno, error);
    }
    errno = error;
    return true;
}

void *counted(void *block)
{
    if (block != NULL)
        atomic_fetch_add(&blocks, 1);
    return block;
}

/* --- memory ---------------------------------------------------------------------------------- */

WRAP(void *, malloc, size_t size)
{
    return fails("malloc", FAULT_MEMORY, ENOMEM) ? NULL : counted(malloc(size));
}

WRAP(void *, calloc, size_t count, size_t size)
{
    return fails("calloc", FAULT_MEMORY, ENOMEM) ? NULL : counted(calloc(count, size));
}

WRAP(void *, aligned_alloc, size_t alignment, size_t size)
{
    return fails("aligned_alloc", FAULT_MEMORY, ENOMEM) ? NULL
                                                        : counted(aligned_alloc(alignment, size));
}

WRAP(void *, realloc, void *block, size_t size)
{
    if (fails("realloc", FAULT_MEMORY, ENOMEM))
        return NULL;
    return block == NULL ? counted(malloc(size)) : realloc(block, size);
}

WRAP(char *, strdup, const char *text)
{
    return fails("strdup", FAULT_MEMORY, ENOMEM) ? NULL : counted(strdup(text));
}

WRAP(char *, strndup, const char *text, size_t size)
{
    return fails("strndup", FAULT_MEMORY, ENOMEM) ? NULL : counted(strndup(text, size));
}

WRAP(void, free, void *block)
{
    if (block != NULL)
        atomic_fetch_sub(&blocks, 1);
    free(block);
}

void fault_free(void *block)
{
    __wrap_free(block);
}

WRAP(void *, tsearch, const void *key, void **root, int (*compare)(const void *, const void *))
{
    return fails("tsearch", FAULT_MEMORY, ENOMEM) ? NULL : tsearch(key, root, compare);
}

WRAP(locale_t, newlocale, int mask, const char *name, locale_t base)
{
    return fails("newlocale", FAULT_MEMORY, ENOMEM) ? (locale_t)0 : newlocale(mask, name, base);
}

WRAP(void *, mmap, void *where, size_t size, int protection, int flags, int fd, off_t offset)
{
    return fails("mmap", FAULT_MEMORY, ENOMEM) ? MAP_FAILED
                                               : mmap(where, size, protection, flags, fd, offset);
}

WRAP(void *, mremap, void *old, size_t old_size, size_t size, int flags)
{
    return fails("mremap", FAULT_MEMORY, ENOMEM) ? MAP_FAILED : mremap(old, old_size, size, flags);
}

/* The C library takes the memory, the library gives it back. */
WRAP(char *, getcwd, char *out, size_t size)
{
    if (fails("getcwd", FAULT_MEMORY, ENOMEM))
        return NULL;
    return out == NULL ? counted(getcwd(NULL, size)) : getcwd(out, size);
}

WRAP(char *, realpath, const char *path, char *out)
{
    if (fails("realpath", FAULT_MEMORY, ENOMEM))
        return NULL;
    return out == NULL ? counted(realpath(path, NULL)) : realpath(path, out);
}

WRAP(int, pthread_attr_init, pthread_attr_t *attributes)
{
    return fails("pthread_attr_init", FAULT_MEMORY, ENOMEM) ? ENOMEM
                                                            : pthread_attr_init(attributes);
}

WRAP(poptContext, poptGetContext, const char *name, int argc, const char **argv,
     const struct poptOption *options, unsigned flags)
{
    return fails("poptGetContext", FAULT_MEMORY, ENOMEM)
               ? NULL
               : poptGetContext(name, argc, argv, options, flags);
}

WRAP(int, yaml_parser_initialize, yaml_parser_t *parser)
{
    if (!fails("yaml_parser_initialize", FAULT_MEMORY, ENOMEM))
        return yaml_parser_initialize(parser);
    memset(parser, 0, sizeof *parser); /* as libyaml leaves it */
    return 0;
}

WRAP(int, yaml_parser_parse, yaml_parser_t *parser, yaml_event_t *event)
{
    if (!fails("yaml_parser_parse", FAULT_MEMORY, ENOMEM))
        return yaml_parser_parse(parser, event);
    memset(event, 0, sizeof *event);
    parser->error = YAML_MEMORY_ERROR;
    return 0;
}

/* --- threads --------------------------------------------------------------------------------- */

WRAP(int, pthread_create, pthread_t *out, const pthread_attr_t *attributes, void *(*body)(void *),
     void *arg)
{
    return fails("pthread_create", FAULT_THREAD, EAGAIN)
               ? EAGAIN
               : pthread_create(out, attributes, body, arg);
}

WRAP(int, pthread_attr_setstacksize, pthread_attr_t *attributes, size_t size)
{
    return fails("pthread_attr_setstacksize", FAULT_THREAD, EINVAL)
               ? EINVAL
               : pthread_attr_setstacksize(attributes, size);
}

WRAP(int, pthread_key_create, pthread_key_t *out, void (*destroy)(void *))
{
    return fails("pthread_key_create", FAULT_THREAD, EAGAIN) ? EAGAIN
                                                             : pthread_key_create(out, destroy);
}

WRAP(int, pthread_setname_np, pthread_t thread, const char *name)
{
    return fails("pthread_setname_np", FAULT_DESCRIPTOR, EMFILE) ? EMFILE
                                                                 : pthread_setname_np(thread, name);
}

/* Who asks what there was may be refused; putting an old one back cannot fail. */
WRAP(int, sigaltstack, const stack_t *ours, stack_t *before)
{
    bool fail = before != NULL && fails("sigaltstack", FAULT_MEMORY, ENOMEM);
    return fail ? -1 : sigaltstack(ours, before);
}

/* --- descriptors ----------------------------------------------------------------------------- */

WRAP(int, eventfd, unsigned count, int flags)
{
    return fails("eventfd", FAULT_DESCRIPTOR, EMFILE) ? -1 : eventfd(count, flags);
}

WRAP(int, epoll_create1, int flags)
{
    return fails("epoll_create1", FAULT_DESCRIPTOR, EMFILE) ? -1 : epoll_create1(flags);
}

WRAP(int, epoll_ctl, int poller, int what, int fd, struct epoll_event *event)
{
    return fails("epoll_ctl", FAULT_DESCRIPTOR, ENOSPC) ? -1 : epoll_ctl(poller, what, fd, event);
}

WRAP(int, epoll_wait, int poller, struct epoll_event *events, int most, int timeout)
{
    return fails("epoll_wait", FAULT_INTERRUPT, EINTR) ? -1
                                                       : epoll_wait(poller, events, most, timeout);
}

WRAP(int, poll, struct pollfd *list, nfds_t count, int timeout)
{
    if (fails("poll", FAULT_INTERRUPT, EINTR))
        return -1;
    return poll(list, count, count == 0 && atomic_load(&hurries) ? 0 : timeout);
}

WRAP(int, timerfd_create, int clock, int flags)
{
    return fails("timerfd_create", FAULT_DESCRIPTOR, ENFILE) ? -1 : timerfd_create(clock, flags);
}

WRAP(int, timerfd_settime, int timer, int flags, const struct itimerspec *to,
     struct itimerspec *before)
{
    return fails("timerfd_settime", FAULT_MEMORY, ENOMEM)
               ? -1
               : timerfd_settime(timer, flags, to, before);
}

WRAP(int, signalfd, int fd, const sigset_t *set, int flags)
{
    return fails("signalfd", FAULT_DESCRIPTOR, ENFILE) ? -1 : signalfd(fd, set, flags);
}

WRAP(int, setsockopt, int fd, int level, int option, const void *value, socklen_t size)
{
    return fails("setsockopt", FAULT_DESCRIPTOR, ENOMEM)
               ? -1
               : setsockopt(fd, level, option, value, size);
}

WRAP(int, socket, int domain, int type, int protocol)
{
    return fails("socket", FAULT_DESCRIPTOR, EMFILE) ? -1 : socket(domain, type, protocol);
}

WRAP(int, socketpair, int domain, int type, int protocol, int ends[2])
{
    return fails("socketpair", FAULT_DESCRIPTOR, EMFILE) ? -1
                                                         : socketpair(domain, type, protocol, ends);
}

WRAP(int, getsockopt, int fd, int level, int option, void *value, socklen_t *size)
{
    return fails("getsockopt", FAULT_DESCRIPTOR, ENOBUFS)
               ? -1
               : getsockopt(fd, level, option, value, size);
}

WRAP(ssize_t, sendmsg, int fd, const struct msghdr *packet, int flags)
{
    bool fail = fails("sendmsg", FAULT_INTERRUPT, EINTR) ||
                fails("sendmsg", FAULT_DESCRIPTOR, ETOOMANYREFS) ||
                fails("sendmsg", FAULT_MEMORY, ENOMEM);
    return fail ? -1 : sendmsg(fd, packet, flags);
}

WRAP(ssize_t, recvmsg, int fd, struct msghdr *packet, int flags)
{
    bool fail =
        fails("recvmsg", FAULT_INTERRUPT, EINTR) || fails("recvmsg", FAULT_DESCRIPTOR, ENOBUFS);
    return fail ? -1 : recvmsg(fd, packet, flags);
}

WRAP(int, bind, int fd, const struct sockaddr *address, socklen_t size)
{
    return fails("bind", FAULT_DESCRIPTOR, ENOMEM) ? -1 : bind(fd, address, size);
}

WRAP(int, listen, int fd, int backlog)
{
    return fails("listen", FAULT_DESCRIPTOR, ENOBUFS) ? -1 : listen(fd, backlog);
}

WRAP(int, accept4, int fd, struct sockaddr *peer, socklen_t *size, int flags)
{
    bool fail =
        fails("accept4", FAULT_INTERRUPT, EINTR) || fails("accept4", FAULT_DESCRIPTOR, EMFILE);
    return fail ? -1 : accept4(fd, peer, size, flags);
}

WRAP(int, getsockname, int fd, struct sockaddr *address, socklen_t *size)
{
    return fails("getsockname", FAULT_DESCRIPTOR, ENOBUFS) ? -1 : getsockname(fd, address, size);
}

/* Only to make a copy takes something. */
WRAP(int, fcntl, int fd, int what, ...)
{
    va_list args;
    va_start(args, what);
    long value = va_arg(args, long); /* or nothing, or an int: not looked at then */
    va_end(args);
    bool fail = what == F_DUPFD_CLOEXEC && fails("fcntl", FAULT_DESCRIPTOR, EMFILE);
    return fail ? -1 : fcntl(fd, what, value);
}

WRAP(ssize_t, sendto, int fd, const void *data, size_t size, int flags,
     const struct sockaddr *address, socklen_t address_size)
{
    return fails("sendto", FAULT_INTERRUPT, EINTR) || fails("sendto", FAULT_DESCRIPTOR, ENOBUFS)
               ? -1
               : sendto(fd, data, size, flags, address, address_size);
}

WRAP(int, open, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails("open", FAULT_DESCRIPTOR, EMFILE) ? -1 : open(path, flags, mode);
}

WRAP(int, fstat, int fd, struct stat *out)
{
    return fails("fstat", FAULT_DESCRIPTOR, EIO) ? -1 : fstat(fd, out);
}

WRAP(int, lstat, const char *path, struct stat *out)
{
    return fails("lstat", FAULT_DESCRIPTOR, EIO) ? -1 : lstat(path, out);
}

WRAP(int, fchmod, int fd, mode_t mode)
{
    return fails("fchmod", FAULT_DESCRIPTOR, EIO) ? -1 : fchmod(fd, mode);
}

WRAP(DIR *, opendir, const char *path)
{
    return fails("opendir", FAULT_DESCRIPTOR, EMFILE) ? NULL : opendir(path);
}

WRAP(struct dirent *, readdir, DIR *stream)
{
    return fails("readdir", FAULT_DESCRIPTOR, EIO) ? NULL : readdir(stream);
}

WRAP(ssize_t, readlink, const char *path, char *out, size_t size)
{
    return fails("readlink", FAULT_MEMORY, ENOMEM) ? -1 : readlink(path, out, size);
}

WRAP(ssize_t, read, int fd, void *data, size_t size)
{
    bool fail = fails("read", FAULT_INTERRUPT, EINTR) || fails("read", FAULT_DESCRIPTOR, EIO);
    return fail ? -1 : read(fd, data, size);
}

/* --- files and processes --------------------------------------------------------------------- */

WRAP(int, memfd_create, const char *name, unsigned flags)
{
    return fails("memfd_create", FAULT_DESCRIPTOR, EMFILE) ? -1 : memfd_create(name, flags);
}

WRAP(ssize_t, pread, int fd, void *data, size_t size, off_t from)
{
    bool fail = fails("pread", FAULT_INTERRUPT, EINTR) || fails("pread", FAULT_DESCRIPTOR, EIO);
    return fail ? -1 : pread(fd, data, size, from);
}

WRAP(int, stat, const char *path, struct stat *out)
{
    return fails("stat", FAULT_DESCRIPTOR, EIO) ? -1 : stat(path, out);
}

WRAP(int, openat, int folder, const char *path, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = (flags & O_CREAT) != 0 ? va_arg(args, mode_t) : 0;
    va_end(args);
    return fails("openat", FAULT_DESCRIPTOR, EMFILE) ? -1 : openat(folder, path, flags, mode);
}

WRAP(DIR *, fdopendir, int fd)
{
    return fails("fdopendir", FAULT_MEMORY, ENOMEM) ? NULL : fdopendir(fd);
}

WRAP(int, fsync, int fd)
{
    return fails("fsync", FAULT_DESCRIPTOR, ENOSPC) ? -1 : fsync(fd);
}

WRAP(int, renameat, int from, const char *old, int to, const char *name)
{
    return fails("renameat", FAULT_DESCRIPTOR, ENOSPC) ? -1 : renameat(from, old, to, name);
}

WRAP(int, rename, const char *from, const char *to)
{
    return fails("rename", FAULT_DESCRIPTOR, ENOSPC) ? -1 : rename(from, to);
}

WRAP(int, posix_spawn, pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
     const posix_spawnattr_t *attributes, char *const *arguments, char *const *environment)
{
    return fails("posix_spawn", FAULT_THREAD, EAGAIN)
               ? EAGAIN
               : posix_spawn(pid, path, actions, attributes, arguments, environment);
}

WRAP(int, posix_spawn_file_actions_addchdir_np, posix_spawn_file_actions_t *actions,
     const char *path)
{
    return fails("posix_spawn_file_actions_addchdir_np", FAULT_MEMORY, ENOMEM)
               ? ENOMEM
               : posix_spawn_file_actions_addchdir_np(actions, path);
}

WRAP(int, posix_spawn_file_actions_addfchdir_np, posix_spawn_file_actions_t *actions, int fd)
{
    return fails("posix_spawn_file_actions_addfchdir_np", FAULT_MEMORY, ENOMEM)
               ? ENOMEM
               : posix_spawn_file_actions_addfchdir_np(actions, fd);
}

WRAP(int, posix_spawn_file_actions_adddup2, posix_spawn_file_actions_t *actions, int from, int to)
{
    return fails("posix_spawn_file_actions_adddup2", FAULT_MEMORY, ENOMEM)
               ? ENOMEM
               : posix_spawn_file_actions_adddup2(actions, from, to);
}

WRAP(int, posix_spawn_file_actions_addclosefrom_np, posix_spawn_file_actions_t *actions, int from)
{
    return fails("posix_spawn_file_actions_addclosefrom_np", FAULT_MEMORY, ENOMEM)
               ? ENOMEM
               : posix_spawn_file_actions_addclosefrom_np(actions, from);
}

WRAP(int, pidfd_open, pid_t pid, unsigned flags)
{
    return fails("pidfd_open", FAULT_DESCRIPTOR, EMFILE) ? -1 : pidfd_open(pid, flags);
}

WRAP(int, waitid, idtype_t kind, id_t id, siginfo_t *info, int options)
{
    return fails("waitid", FAULT_INTERRUPT, EINTR) ? -1 : waitid(kind, id, info, options);
}

/* --- output ---------------------------------------------------------------------------------- */

WRAP(ssize_t, write, int fd, const void *data, size_t size)
{
    bool fail = fails("write", FAULT_INTERRUPT, EINTR) ||
                (fd == atomic_load(&output_fd) && fails("write", FAULT_OUTPUT, ENOSPC));
    return fail ? -1 : write(fd, data, size);
}

WRAP(ssize_t, pwritev2, int fd, const struct iovec *list, int count, off_t offset, int flags)
{
    bool fail =
        fails("pwritev2", FAULT_INTERRUPT, EINTR) || fails("pwritev2", FAULT_OUTPUT, EOPNOTSUPP);
    return fail ? -1 : pwritev2(fd, list, count, offset, flags);
}

WRAP(ssize_t, send, int fd, const void *data, size_t size, int flags)
{
    bool fail = fails("send", FAULT_INTERRUPT, EINTR) || fails("send", FAULT_OUTPUT, ENOBUFS);
    return fail ? -1 : send(fd, data, size, flags);
}

WRAP(int, fflush, FILE *stream)
{
    return fails("fflush", FAULT_OUTPUT, ENOSPC) ? EOF : fflush(stream);
}
