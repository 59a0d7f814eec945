/* SPDX-License-Identifier: MIT
 *
 * What glibc has and musl has not, under the names that glibc gives it: a file that needs some of
 * it includes this one, and not the header that only glibc has. libc.c makes it of what is there,
 * and says where that is less. Nothing here is called where glibc has it. docs/portability.md
 */
#ifndef BASE_LIBC_H
#define BASE_LIBC_H

#include <features.h>
#include <stdbool.h>
#include <stddef.h>

/* "2.36", or that it is another one, which musl on purpose does not tell. */
const char *libc_version(void);

/* What malloc holds, in bytes; false when it does not say. */
struct libc_heap {
    size_t used, kept, mapped; /* mapped: of those that are used, by themselves */
};
bool libc_heap(struct libc_heap *out);

/* The path of the module that an address of ours lies in: "" in the program, NULL when unknown. */
const char *libc_module_path(const void *address);

#ifdef __GLIBC__

#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <sys/pidfd.h>

#else

#include <link.h>
#include <semaphore.h>
#include <signal.h>
#include <spawn.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>

#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* Frame pointers are followed, which all of ours have; a function without them hides its caller. */
int backtrace(void **frames, int size);
void backtrace_symbols_fd(void *const *frames, int count, int fd);

struct dl_find_object {
    void *dlfo_map_start;
    struct link_map *dlfo_link_map;
};
/* musl never unmaps a module, and only appends to their list: no lock is needed. */
int _dl_find_object(void *address, struct dl_find_object *out);

void closefrom(int fd);
int pidfd_open(pid_t pid, unsigned flags);
int pidfd_send_signal(int pidfd, int signo, siginfo_t *info, unsigned flags);
ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags);

/* What another thread opens meanwhile without O_CLOEXEC stays open. */
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

/* CLOCK_MONOTONIC only. Late by a moment when somebody sets the clock. */
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until);

const char *sigabbrev_np(int signo);
const char *strerrordesc_np(int code);

#endif
#endif
