/* SPDX-License-Identifier: MIT
 *
 * The stack of another thread, whatever it is doing.
 */
#include "base/stack.h"
#include "cast.h"

#include <fcntl.h>
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

/* Exported by the C library under this name: whatever is below, it stands in the description. */
static int compare_then_hang(const void *a, const void *b)
{
    (void)a, (void)b;
    char byte;
    while (!atomic_load(&subject.leave))
        (void)read(subject.pipe[0], &byte, 1);
    return 0;
}

static void *in_qsort(void *arg)
{
    int numbers[2] = {2, 1};
    atomic_store(&subject.tid, gettid());
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

static void *deaf(void *arg)
{
    sigset_t urgent;
    (void)sigemptyset(&urgent);
    (void)sigaddset(&urgent, SIGURG);
    (void)pthread_sigmask(SIG_BLOCK, &urgent, NULL);
    return in_mutex(arg);
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
    for (int i = 0; i < 100 && pthread_tryjoin_np(subject.thread, NULL) != 0; i++) {
        (void)pthread_kill(subject.thread, SIGURG);
        (void)usleep(10000);
        ck_assert_int_lt(i, 99);
    }
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
    const char *text = description();
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
        ck_assert_ptr_nonnull(strstr(description(), "no answer"));
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
        const char *text = description();
        ck_assert_msg(frames_of(text) >= 3, "%s", text);
        ck_assert_msg(strstr(text, "qsort") != NULL, "%s", text);
        end();
    }
END_TEST

START_TEST(is_told_from_outside_when_the_thread_blocks_the_signal)
    {
        begin(deaf);
        const char *text = description();
        ck_assert_msg(strstr(text, "it blocks SIGURG") != NULL, "%s", text);
        ck_assert_msg(strstr(text, "syscall") != NULL, "%s", text);
        end();
    }
END_TEST

START_TEST(interrupts_a_blocking_call)
    {
        begin(reads_once);
        for (int i = 0; i < 1000 && pthread_tryjoin_np(subject.thread, NULL) != 0; i++) {
            stack_interrupt(subject.thread);
            (void)usleep(1000);
            ck_assert_int_lt(i, 999);
        }
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

START_TEST(describes_many_times_without_a_mix_up)
    {
        begin(in_qsort);
        for (int i = 0; i < 200; i++)
            ck_assert_ptr_nonnull(strstr(description(), "qsort"));
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

int main(void)
{
    return HARNESS(
        "stack", is_told_of_a_thread_that_sleeps, is_told_of_a_thread_that_waits_for_a_mutex,
        is_told_of_a_thread_that_spins, names_the_exported_functions_of_a_thread_that_reads,
        is_told_from_outside_when_the_thread_blocks_the_signal, interrupts_a_blocking_call,
        gives_the_signal_back_and_leaves_the_programs_own_alone,
        describes_many_times_without_a_mix_up, cuts_a_description_that_does_not_fit);
}
