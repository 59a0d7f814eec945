/* SPDX-License-Identifier: MIT
 *
 * The stack of another thread, whatever it is doing.
 */
#include "base/stack.h"
#include "cast.h"
#include "crash.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

struct subject {
    pthread_t thread;
    atomic_int tid;
    atomic_bool leave;
    pthread_mutex_t lock;
    int pipe[2];
    int interrupted; /* the errno of its call */
};

static struct subject subject;

/* Exported by the C library under this name: whatever is below, it stands in the description, from
 * the moment on at which the thread says who it is. The thread sanitizer holds a signal back that
 * comes just before a read, until the read ends; poll is among the calls where it does not. */
static int compare_then_hang(const void *a, const void *b)
{
    (void)a, (void)b;
    struct pollfd wait = {.fd = subject.pipe[0], .events = POLLIN};
    atomic_store(&subject.tid, gettid());
    while (!atomic_load(&subject.leave))
        (void)poll(&wait, 1, -1);
    return 0;
}

static void *in_qsort(void *arg)
{
    int numbers[2] = {2, 1};
    qsort(numbers, 2, sizeof numbers[0], compare_then_hang);
    return arg;
}

static void *in_sleep(void *arg)
{
    atomic_store(&subject.tid, gettid());
    while (!atomic_load(&subject.leave))
        (void)nanosleep(&(struct timespec){.tv_sec = 60}, NULL);
    return arg;
}

static void *in_mutex(void *arg)
{
    atomic_store(&subject.tid, gettid());
    pthread_mutex_lock(&subject.lock);
    pthread_mutex_unlock(&subject.lock);
    return arg;
}

static void *in_loop(void *arg)
{
    atomic_store(&subject.tid, gettid());
    while (!atomic_load(&subject.leave))
        ;
    return arg;
}

static void block_the_signal(void)
{
    sigset_t urgent;
    (void)sigemptyset(&urgent);
    (void)sigaddset(&urgent, SIGURG);
    (void)pthread_sigmask(SIG_BLOCK, &urgent, NULL);
}

static void *deaf_in_mutex(void *arg)
{
    block_the_signal();
    return in_mutex(arg);
}

static void *deaf_in_loop(void *arg)
{
    block_the_signal();
    return in_loop(arg);
}

static void *reads_once(void *arg)
{
    char byte;
    atomic_store(&subject.tid, gettid());
    subject.interrupted = read(subject.pipe[0], &byte, 1) < 0 ? errno : 0;
    return arg;
}

static bool has_tid(void *arg)
{
    (void)arg;
    return atomic_load(&subject.tid) != 0;
}

static bool ends_when_interrupted(void *arg)
{
    (void)arg;
    stack_interrupt(subject.thread);
    return pthread_tryjoin_np(subject.thread, NULL) == 0;
}

static void begin(void *(*body)(void *))
{
    (void)pthread_mutex_init(&subject.lock, NULL);
    ck_assert_int_eq(pipe2(subject.pipe, O_CLOEXEC), 0);
    pthread_mutex_lock(&subject.lock);
    stack_acquire();
    ck_assert_int_eq(pthread_create(&subject.thread, NULL, body, NULL), 0);
    ck_assert(harness_wait(has_tid, NULL, 10000));
    (void)usleep(5000); /* into its call, most likely; the test holds if not */
}

static void end(void)
{
    atomic_store(&subject.leave, true);
    ck_assert_int_eq(write(subject.pipe[1], "x", 1), 1);
    pthread_mutex_unlock(&subject.lock);
    ck_assert(harness_wait(ends_when_interrupted, NULL, 10000));
    stack_release();
    (void)close(subject.pipe[0]);
    (void)close(subject.pipe[1]);
    (void)pthread_mutex_destroy(&subject.lock);
}

static const char *description(void)
{
    static char text[4096];
    stack_describe(subject.thread, atomic_load(&subject.tid), text, sizeof text);
    return text;
}

/* On a machine that is very busy it may not answer in time: then it is asked again. */
static const char *own_description(void)
{
    const char *text;
    do
        text = description();
    while (strstr(text, "no answer within") != NULL || strstr(text, "still owes one") != NULL);
    return text;
}

static int frames_of(const char *text)
{
    int frames = 1;
    while ((text = strstr(text, " < ")) != NULL) {
        text++;
        frames++;
    }
    return frames;
}

static void assert_described(void *(*body)(void *))
{
    begin(body);
    const char *text = own_description();
    ck_assert_msg(frames_of(text) >= 3, "%s", text);
    ck_assert_msg(strstr(text, "+0x") != NULL, "%s", text);
    end();
}

START_TEST(is_told_of_a_thread_that_sleeps)
    {
        assert_described(in_sleep);
    }
END_TEST

START_TEST(is_told_of_a_thread_that_waits_for_a_mutex)
    {
#ifdef __SANITIZE_THREAD__ /* it holds signals back while a thread waits for a mutex */
        begin(in_mutex);
        const char *text = description();
        ck_assert_msg(strstr(text, "no answer within 1s; syscall") != NULL, "%s", text);
        end();
#else
        assert_described(in_mutex);
#endif
    }
END_TEST

START_TEST(is_told_of_a_thread_that_spins)
    {
        assert_described(in_loop);
    }
END_TEST

START_TEST(names_the_exported_functions_of_a_thread_that_reads)
    {
        begin(in_qsort);
        const char *text = own_description();
        ck_assert_msg(frames_of(text) >= 3, "%s", text);
        ck_assert_msg(strstr(text, "qsort") != NULL, "%s", text);
        end();
    }
END_TEST

static void assert_deaf(void *(*body)(void *))
{
    begin(body);
    const char *text = description();
    ck_assert_msg(strstr(text, "no answer (it blocks SIGURG); syscall ") != NULL, "%s", text);
    end();
}

START_TEST(is_told_from_outside_when_the_thread_blocks_the_signal)
    {
        assert_deaf(deaf_in_mutex);
        subject = (struct subject){0};
        assert_deaf(deaf_in_loop);
    }
END_TEST

static bool sleeps(void *arg)
{
    (void)arg;
    char path[64], status[256] = "";
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/status", atomic_load(&subject.tid));
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_gt(read(fd, status, sizeof status - 1), 0);
    (void)close(fd);
    return strstr(status, "State:\tS") != NULL;
}

/* A second each, were they asked. */
START_TEST(does_not_wait_for_a_thread_that_sleeps_and_blocks_the_signal)
    {
        begin(deaf_in_mutex);
        ck_assert(harness_wait(sleeps, NULL, 10000));
        int64_t start = harness_now_ms();
        for (int i = 0; i < 50; i++)
            (void)description();
        ck_assert_int_lt(harness_now_ms() - start, 25000);
        end();
    }
END_TEST

START_TEST(interrupts_a_blocking_call)
    {
        begin(reads_once);
        ck_assert(harness_wait(ends_when_interrupted, NULL, 10000));
        ck_assert_int_eq(subject.interrupted, EINTR);
        stack_release();
        (void)close(subject.pipe[0]);
        (void)close(subject.pipe[1]);
        pthread_mutex_unlock(&subject.lock);
        (void)pthread_mutex_destroy(&subject.lock);
    }
END_TEST

static void on_urgent(int signo)
{
    (void)signo;
}

START_TEST(says_so_when_the_program_uses_the_signal_itself)
    {
        struct sigaction own = {.sa_handler = on_urgent};
        ck_assert_int_eq(sigaction(SIGURG, &own, NULL), 0);
        begin(in_loop);
        const char *text = description();
        ck_assert_msg(strstr(text, "no answer (the program uses SIGURG); ") != NULL, "%s", text);
        end();
        (void)signal(SIGURG, SIG_DFL);
    }
END_TEST

START_TEST(gives_the_signal_back_and_leaves_the_programs_own_alone)
    {
        struct sigaction now, own = {.sa_handler = on_urgent};
        stack_acquire();
        stack_acquire();
        stack_release();
        ck_assert_int_eq(sigaction(SIGURG, NULL, &now), 0);
        ck_assert(now.sa_handler != SIG_DFL);
        stack_release();
        ck_assert_int_eq(sigaction(SIGURG, NULL, &now), 0);
        ck_assert(now.sa_handler == SIG_DFL);
        ck_assert_int_eq(sigaction(SIGURG, &own, NULL), 0);
        stack_acquire();
        ck_assert_int_eq(sigaction(SIGURG, NULL, &now), 0);
        ck_assert(now.sa_handler == on_urgent);
        stack_release();
        (void)signal(SIGURG, SIG_DFL);
    }
END_TEST

START_TEST(leaves_a_handler_that_the_program_has_installed_meanwhile)
    {
        struct sigaction now, own = {.sa_handler = on_urgent};
        stack_acquire();
        ck_assert_int_eq(sigaction(SIGURG, &own, NULL), 0);
        stack_release();
        ck_assert_int_eq(sigaction(SIGURG, NULL, &now), 0);
        ck_assert(now.sa_handler == on_urgent);
        (void)signal(SIGURG, SIG_DFL);
    }
END_TEST

START_TEST(lets_no_signal_into_its_handler_but_faults)
    {
        struct sigaction now;
        stack_acquire();
        ck_assert_int_eq(sigaction(SIGURG, NULL, &now), 0);
        stack_release();
        ck_assert_int_eq(sigismember(&now.sa_mask, SIGUSR1), 1);
        ck_assert_int_eq(sigismember(&now.sa_mask, SIGSEGV), 0);
    }
END_TEST

START_TEST(describes_many_times_without_a_mix_up)
    {
        begin(in_qsort);
        for (int i = 0; i < 200; i++) {
            const char *text = own_description();
            ck_assert_msg(strstr(text, "qsort") != NULL, "%d: %s", i, text);
        }
        end();
    }
END_TEST

START_TEST(cuts_a_description_that_does_not_fit)
    {
        void *frames[8];
        for (int i = 0; i < 8; i++)
            frames[i] = (void *)((uintptr_t)qsort + (uintptr_t)i);
        for (size_t size = 1; size < 64; size++) {
            char text[64];
            memset(text, 'x', sizeof text);
            stack_format(frames, 8, text, size);
            ck_assert_uint_lt(strnlen(text, sizeof text), size);
            ck_assert_msg(size == sizeof text || text[size] == 'x', "wrote beyond %zu", size);
        }
    }
END_TEST

/* --- a stack that is nearly used up ---------------------------------------------------------- */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
#define LEFT 1500 /* bytes: less than the kernel wants to put there for a handler */

static const char *stack_floor;

static void dig(void)
{
    volatile char room[256];
    struct pollfd wait = {.fd = subject.pipe[0], .events = POLLIN};
    room[0] = 1;
    if ((const char *)__builtin_frame_address(0) - stack_floor > LEFT + (ptrdiff_t)sizeof room) {
        dig();
        room[1] = 1; /* so that this is no jump */
        return;
    }
    atomic_store(&subject.tid, gettid());
    while (!atomic_load(&subject.leave))
        (void)poll(&wait, 1, -1);
}

static void *deep_down(void *arg)
{
    pthread_attr_t attributes;
    void *floor_of_all = NULL;
    size_t size = 0;
    crash_thread_enter();
    struct pollfd none = {.fd = -1};
    (void)poll(&none, 1, 0); /* found by the linker before there is no room for it */
    (void)gettid();
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstack(&attributes, &floor_of_all, &size);
        (void)pthread_attr_destroy(&attributes);
        stack_floor = floor_of_all;
        dig();
    }
    crash_thread_leave();
    return arg;
}

START_TEST(is_told_of_a_thread_that_has_hardly_any_stack_left)
    {
        assert_described(deep_down);
    }
END_TEST
#else
START_TEST(is_told_of_a_thread_that_has_hardly_any_stack_left)
    {
        /* sanitizers need more of it for each call */
    }
END_TEST
#endif

int main(void)
{
    return HARNESS(
        "stack", is_told_of_a_thread_that_sleeps, is_told_of_a_thread_that_waits_for_a_mutex,
        is_told_of_a_thread_that_spins, names_the_exported_functions_of_a_thread_that_reads,
        is_told_from_outside_when_the_thread_blocks_the_signal,
        does_not_wait_for_a_thread_that_sleeps_and_blocks_the_signal, interrupts_a_blocking_call,
        says_so_when_the_program_uses_the_signal_itself,
        gives_the_signal_back_and_leaves_the_programs_own_alone,
        leaves_a_handler_that_the_program_has_installed_meanwhile,
        lets_no_signal_into_its_handler_but_faults, describes_many_times_without_a_mix_up,
        cuts_a_description_that_does_not_fit, is_told_of_a_thread_that_has_hardly_any_stack_left);
}
