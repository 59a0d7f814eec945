/* SPDX-License-Identifier: MIT
 *
 * The handler runs on the thread's alternate stack and calls only what is safe there: poll, write,
 * backtrace (warmed up), backtrace_symbols_fd. SA_RESETHAND restores the default action before it
 * runs; on return the faulting instruction faults again, or the signal is raised again. A reader of
 * stderr that does not read must not keep the process from its end: it gets a second.
 */
#include "crash.h"

#include "base/clock.h"
#include "base/duration.h"
#include "base/libc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FRAMES 64
#define ALTERNATE_STACK (64 * 1024)
#define PATIENCE (1 * NS_PER_S)

static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
#define SIGNALS (sizeof signals / sizeof signals[0])

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned users;
static bool installed[SIGNALS];
static char program_name[64], file_name[PATH_MAX];

/* initial-exec: reading it in the handler must not call the allocator. */
#define HANDLER_LOCAL static _Thread_local __attribute__((tls_model("initial-exec")))
HANDLER_LOCAL const char *place_service, *place_phase;
HANDLER_LOCAL void *alternate_stack;
HANDLER_LOCAL unsigned alternate_users; /* a thread may control two runners */

void crash_set_place(const char *service, const char *phase)
{
    place_service = service;
    place_phase = phase;
}

/* A line that is written at once, so that log records of other threads do not come in between. */
struct head {
    char text[512];
    size_t size;
};

static void put(struct head *head, const char *text)
{
    while (*text != '\0' && head->size < sizeof head->text)
        head->text[head->size++] = *text++;
}

static void put_number(struct head *head, unsigned long number, unsigned base)
{
    char text[32];
    size_t at = sizeof text - 1;
    text[at] = '\0';
    do {
        text[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    put(head, text + at);
}

/* False when there is none in time. A pipe with room takes what is written here without a wait. */
static bool await_room(int fd, int64_t until)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int64_t left;
    int ready;
    do {
        left = until - clock_real_now();
        ready = poll(&wait, 1, left > 0 ? (int)(left / NS_PER_MS) : 0);
    } while (ready < 0 && errno == EINTR && left > 0);
    return ready > 0;
}

static bool write_head(int fd, const struct head *head, int64_t until)
{
    size_t done = 0;
    while (done < head->size && await_room(fd, until)) {
        ssize_t written = write(fd, head->text + done, head->size - done);
        if (written == 0 || (written < 0 && errno != EINTR && errno != EAGAIN))
            return false;
        done += written > 0 ? (size_t)written : 0;
    }
    return done == head->size;
}

static const char *signal_name(int signo)
{
    switch (signo) {
    case SIGSEGV:
        return "SIGSEGV";
    case SIGBUS:
        return "SIGBUS";
    case SIGILL:
        return "SIGILL";
    case SIGFPE:
        return "SIGFPE";
    default:
        return "SIGABRT";
    }
}

static void report(int fd, int signo, const siginfo_t *info, void *const *frames, int count)
{
    int64_t until = clock_real_now() + PATIENCE;
    struct head head;
    head.size = 0;
    put(&head, program_name);
    put(&head, ": crashed with ");
    put(&head, signal_name(signo));
    if (signo != SIGABRT) {
        put(&head, " at address 0x");
        put_number(&head, (unsigned long)info->si_addr, 16);
    }
    put(&head, " in service ");
    put(&head, place_service != NULL ? place_service : "(none)");
    put(&head, ", phase ");
    put(&head, place_phase != NULL ? place_phase : "(none)");
    put(&head, ", pid ");
    put_number(&head, (unsigned long)getpid(), 10);
    put(&head, ", thread ");
    put_number(&head, (unsigned long)gettid(), 10);
    put(&head, "\n");
    bool taken = write_head(fd, &head, until);
    for (int i = 0; taken && i < count && await_room(fd, until); i++)
        backtrace_symbols_fd(frames + i, 1, fd);
}

/* The file may lie where others write: what they put there is not written to, nor waited for. */
static int open_file(void)
{
    struct stat info;
    int fd =
        open(file_name,
             O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0 || (fstat(fd, &info) == 0 && S_ISREG(info.st_mode) && info.st_nlink == 1 &&
                   (info.st_uid == 0 || info.st_uid == geteuid())))
        return fd;
    (void)close(fd);
    return -1;
}

static void on_crash(int signo, siginfo_t *info, void *context)
{
    (void)context;
    void *frames[FRAMES];
    int count = backtrace(frames, FRAMES);
    report(STDERR_FILENO, signo, info, frames, count);
    if (file_name[0] != '\0') {
        int fd = open_file();
        if (fd >= 0) {
            report(fd, signo, info, frames, count);
            (void)close(fd);
        }
    }
    if (info->si_code <= 0) /* sent by kill or raise: it will not come again by itself */
        (void)syscall(SYS_tgkill, getpid(), gettid(), signo);
}

void crash_thread_enter(void)
{
    if (alternate_users++ > 0)
        return;
    void *memory = mmap(NULL, ALTERNATE_STACK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return;
    const stack_t ours = {.ss_sp = memory, .ss_size = ALTERNATE_STACK};
    stack_t before = {.ss_flags = SS_DISABLE};
    bool set = sigaltstack(&ours, &before) == 0;
    if (set && (before.ss_flags & SS_DISABLE)) {
        alternate_stack = memory;
        return;
    }
    if (set) /* the thread had one already: a sanitizer's, or the program's */
        (void)sigaltstack(&before, NULL);
    (void)munmap(memory, ALTERNATE_STACK);
}

void crash_thread_leave(void)
{
    if (alternate_users == 0 || --alternate_users > 0 || alternate_stack == NULL)
        return;
    const stack_t none = {.ss_flags = SS_DISABLE};
    (void)sigaltstack(&none, NULL);
    (void)munmap(alternate_stack, ALTERNATE_STACK);
    alternate_stack = NULL;
}

static void install_locked(void)
{
    struct sigaction ours = {.sa_sigaction = on_crash,
                             .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND)};
    for (size_t i = 0; i < SIGNALS; i++) {
        struct sigaction now;
        (void)sigaction(signals[i], NULL, &now);
        installed[i] = now.sa_handler == SIG_DFL && sigaction(signals[i], &ours, NULL) == 0;
    }
}

void crash_acquire(const char *program, const char *file)
{
    pthread_mutex_lock(&lock);
    if (users++ == 0) {
        void *warm[2];
        (void)backtrace(warm, 2); /* loads libgcc now, not in the handler */
        (void)snprintf(program_name, sizeof program_name, "%s", program);
        (void)snprintf(file_name, sizeof file_name, "%s", file != NULL ? file : "");
        install_locked();
    }
    pthread_mutex_unlock(&lock);
}

void crash_release(void)
{
    pthread_mutex_lock(&lock);
    if (--users == 0)
        for (size_t i = 0; i < SIGNALS; i++) {
            struct sigaction now;
            (void)sigaction(signals[i], NULL, &now);
            if (installed[i] && now.sa_sigaction == on_crash) /* else the program has its own */
                (void)signal(signals[i], SIG_DFL);
        }
    pthread_mutex_unlock(&lock);
}
