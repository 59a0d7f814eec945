/* SPDX-License-Identifier: MIT
 *
 * The lower half is compiled where there is no glibc; it is tried with musl.
 */
#include "base/libc.h"

#ifdef __GLIBC__

#include <gnu/libc-version.h>
#include <malloc.h>

const char *libc_version(void)
{
    return gnu_get_libc_version();
}

bool libc_heap(struct libc_heap *out)
{
    struct mallinfo2 info = mallinfo2();
    *out = (struct libc_heap){
        .used = info.uordblks + info.hblkhd, .kept = info.fordblks, .mapped = info.hblkhd};
    return true;
}

const char *libc_module_path(const void *address)
{
    Dl_info info;
    struct link_map *map = NULL;
    bool known = dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 && map != NULL;
    return known ? map->l_name : NULL;
}

#else

#include "base/clock.h"
#include "base/duration.h"
#include "base/peek.h"
#include "base/symbol.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

const char *libc_version(void)
{
    return "not glibc";
}

bool libc_heap(struct libc_heap *out)
{
    (void)out;
    return false;
}

/* --- modules --------------------------------------------------------------------------------- */

/* The program's own headers, which the kernel points at; and where it was loaded. */
static const ElfW(Phdr) * program_headers(size_t *count, uintptr_t *base)
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    *count = headers != NULL ? getauxval(AT_PHNUM) : 0;
    *base = 0;
    for (size_t i = 0; i < *count; i++)
        if (headers[i].p_type == PT_PHDR)
            *base = (uintptr_t)headers - headers[i].p_vaddr;
    return headers;
}

/* The list that is there for debuggers. NULL in a static program. */
static struct link_map *first_module(void)
{
    size_t count;
    uintptr_t base;
    const ElfW(Phdr) *headers = program_headers(&count, &base);
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type != PT_DYNAMIC)
            continue;
        const ElfW(Dyn) *entry = (const void *)(base + headers[i].p_vaddr);
        for (; entry->d_tag != DT_NULL; entry++)
            if (entry->d_tag == DT_DEBUG && entry->d_un.d_ptr != 0)
                return ((const struct r_debug *)entry->d_un.d_ptr)->r_map;
    }
    return NULL;
}

static bool covers(const struct link_map *map, bool is_program, uintptr_t address, uintptr_t *start)
{
    size_t count;
    uintptr_t base = map->l_addr;
    const ElfW(Phdr) * headers;
    if (is_program) {
        headers = program_headers(&count, &base);
    } else {
        const ElfW(Ehdr) *head = (const void *)base; /* a library begins with it */
        headers = (const void *)(base + head->e_phoff);
        count = head->e_phnum;
    }
    uintptr_t low = UINTPTR_MAX;
    bool inside = false;
    for (size_t i = 0; i < count; i++) {
        if (headers[i].p_type != PT_LOAD)
            continue;
        uintptr_t at = base + headers[i].p_vaddr;
        low = at < low ? at : low;
        inside = inside || address - at < headers[i].p_memsz;
    }
    *start = low;
    return inside;
}

int _dl_find_object(void *address, struct dl_find_object *out)
{
    struct link_map *first = first_module();
    for (struct link_map *map = first; map != NULL; map = map->l_next) {
        uintptr_t start;
        if (!covers(map, map == first, (uintptr_t)address, &start))
            continue;
        *out = (struct dl_find_object){(void *)start, map};
        return 0;
    }
    return -1;
}

const char *libc_module_path(const void *address)
{
    struct dl_find_object object;
    if (_dl_find_object((void *)(uintptr_t)address, &object) != 0)
        return NULL;
    return object.dlfo_link_map == first_module() ? "" : object.dlfo_link_map->l_name;
}

/* --- stacks ---------------------------------------------------------------------------------- */

struct frame {
    const struct frame *caller;
    void *return_to;
};

/* A signal handler returns to three instructions, above which the kernel has left the registers. */
static void *interrupted_at(const struct frame *frame)
{
#ifdef __x86_64__
    static const unsigned char sigreturn[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
    unsigned char code[sizeof sigreturn];
    if (peek_copy(code, (uintptr_t)frame->return_to, sizeof code) != sizeof code ||
        memcmp(code, sigreturn, sizeof code) != 0)
        return NULL;
    const ucontext_t *context = (const void *)(frame + 1);
    return (void *)context->uc_mcontext.gregs[REG_RIP];
#else
    (void)frame;
    return NULL;
#endif
}

int backtrace(void **frames, int size)
{
    int count = 0;
    const struct frame *frame = __builtin_frame_address(0);
    while (count < size && (uintptr_t)frame % sizeof(void *) == 0 &&
           peek_readable((uintptr_t)frame) && peek_readable((uintptr_t)&frame->return_to) &&
           frame->return_to != NULL) {
        frames[count++] = frame->return_to;
        void *at = interrupted_at(frame);
        if (at != NULL && count < size)
            frames[count++] = at;
        frame = frame->caller;
    }
    return count;
}

void backtrace_symbols_fd(void *const *frames, int count, int fd)
{
    for (int i = 0; i < count; i++) {
        char name[160], line[200];
        symbol_describe(frames[i], name, sizeof name);
        int size = snprintf(line, sizeof line, "%s [%p]\n", name, frames[i]);
        if (write(fd, line, (size_t)size) < 0)
            return;
    }
}

/* --- descriptors and processes ---------------------------------------------------------------- */

void closefrom(int fd)
{
    (void)syscall(SYS_close_range, (unsigned)fd, ~0U, 0U);
}

int pidfd_open(pid_t pid, unsigned flags)
{
    return (int)syscall(SYS_pidfd_open, pid, flags);
}

int pidfd_send_signal(int pidfd, int signo, siginfo_t *info, unsigned flags)
{
    return (int)syscall(SYS_pidfd_send_signal, pidfd, signo, info, flags);
}

ssize_t pwritev2(int fd, const struct iovec *pieces, int count, off_t offset, int flags)
{
    const long high = 0; /* where a word has 64 bits, offset is all of it */
    return syscall(SYS_pwritev2, fd, pieces, (long)count, (long)offset, high, flags);
}

int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from)
{
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return errno;
    int rc = 0;
    for (const struct dirent *entry; rc == 0 && (entry = readdir(folder)) != NULL;) {
        char *end;
        long fd = strtol(entry->d_name, &end, 10);
        if (*end == '\0' && fd >= from)
            rc = posix_spawn_file_actions_addclose(actions, (int)fd);
    }
    (void)closedir(folder);
    return rc;
}

/* --- time and words -------------------------------------------------------------------------- */

/* musl waits by the clock that can be set: so for a tenth of a second at a time. */
int sem_clockwait(sem_t *semaphore, clockid_t clock, const struct timespec *until)
{
    (void)clock;
    const int64_t slice = NS_PER_S / 10, end = until->tv_sec * NS_PER_S + until->tv_nsec;
    for (;;) {
        int64_t left = end - clock_real_now();
        struct timespec at;
        (void)clock_gettime(CLOCK_REALTIME, &at);
        int64_t wake = at.tv_sec * NS_PER_S + at.tv_nsec;
        wake += left < 0 ? 0 : left < slice ? left : slice;
        at = (struct timespec){.tv_sec = wake / NS_PER_S, .tv_nsec = wake % NS_PER_S};
        if (sem_timedwait(semaphore, &at) == 0)
            return 0;
        if (errno != ETIMEDOUT || left <= slice)
            return -1;
    }
}

const char *sigabbrev_np(int signo)
{
    static const char names[][8] = {
        [SIGHUP] = "HUP",   [SIGINT] = "INT",   [SIGQUIT] = "QUIT",     [SIGILL] = "ILL",
        [SIGTRAP] = "TRAP", [SIGABRT] = "ABRT", [SIGBUS] = "BUS",       [SIGFPE] = "FPE",
        [SIGKILL] = "KILL", [SIGUSR1] = "USR1", [SIGSEGV] = "SEGV",     [SIGUSR2] = "USR2",
        [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM",     [SIGSTKFLT] = "STKFLT",
        [SIGCHLD] = "CHLD", [SIGCONT] = "CONT", [SIGSTOP] = "STOP",     [SIGTSTP] = "TSTP",
        [SIGTTIN] = "TTIN", [SIGTTOU] = "TTOU", [SIGURG] = "URG",       [SIGXCPU] = "XCPU",
        [SIGXFSZ] = "XFSZ", [SIGPROF] = "PROF", [SIGVTALRM] = "VTALRM", [SIGWINCH] = "WINCH",
        [SIGPOLL] = "POLL", [SIGPWR] = "PWR",   [SIGSYS] = "SYS",
    };
    bool known = signo > 0 && (size_t)signo < sizeof names / sizeof names[0];
    return known && names[signo][0] != '\0' ? names[signo] : NULL;
}

/* Static texts here too; those it does not know are one and the same. */
const char *strerrordesc_np(int code)
{
    const char *text = strerror(code), *unknown = strerror(0);
    return code == 0 ? "Success" : strcmp(text, unknown) != 0 ? text : NULL;
}

#endif
