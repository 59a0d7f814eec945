/* SPDX-License-Identifier: MIT
 *
 * top: what status shows, and what the process uses, once a second. On a terminal each frame takes
 * the place of the one before it; elsewhere they follow each other. A program that does not answer,
 * or is another process than before, is shown as that. The terminal is as it was while it is
 * stopped and when it ends.
 */
#include "base/clock.h"
#include "base/duration.h"
#include "base/fd.h"
#include "srunctl.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define FRAME_MS 1000

struct usage {
    double started, cpu; /* of the process; started tells one from another */
    int64_t at;
};

static struct termios before;
static volatile sig_atomic_t keys_taken, drawing;
static volatile sig_atomic_t anew = true; /* the next frame comes at once, on an empty screen */

/* Long lines are cut, not wrapped; no cursor. */
#define DRAWING "\033[?7l\033[?25l"
#define DRAWN "\033[?7h\033[?25h"

static void restore(void)
{
    if (keys_taken)
        (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
    if (drawing)
        (void)fd_write_all(STDOUT_FILENO, DRAWN, sizeof DRAWN - 1);
}

/* All of it is allowed in a signal handler. */
static void end_on_signal(int signal_number)
{
    (void)signal_number;
    restore();
    _exit(YES);
}

/* Keys come one by one and are not shown. */
static void take_keys(void)
{
    if (!keys_taken && tcgetattr(STDIN_FILENO, &before) < 0)
        return;
    struct termios now = before;
    now.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    keys_taken = true;
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &now);
}

/* Somebody else had the terminal meanwhile. Again, all of it is allowed in a handler. */
static void go_on_on_signal(int signal_number)
{
    int error = errno;
    (void)signal_number;
    if (keys_taken)
        take_keys();
    anew = true;
    errno = error;
}

static void catch_stop(void);

/* The signal comes once more, and has its default action: it stops us, unless nobody is there who
 * could let us go on. */
static void stop_on_signal(int signal_number)
{
    int error = errno;
    sigset_t stop, mask;
    restore();
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, signal_number);
    (void)raise(signal_number);
    (void)pthread_sigmask(SIG_UNBLOCK, &stop, &mask); /* here, where handlers run with it blocked */
    (void)pthread_sigmask(SIG_SETMASK, &mask, NULL);
    catch_stop();
    go_on_on_signal(SIGCONT);
    errno = error;
}

static void catch_stop(void)
{
    (void)sigaction(
        SIGTSTP,
        &(const struct sigaction){.sa_handler = stop_on_signal,
                                  .sa_flags = (int)SA_RESETHAND | SA_NODEFER | SA_RESTART},
        NULL);
}

static double metric(const struct buf *metrics, const char *name)
{
    char start[64];
    (void)snprintf(start, sizeof start, "\n%s ", name); /* the first line is a comment */
    const char *line = strstr(metrics->data, start);
    return line != NULL ? strtod(line + strlen(start), NULL) : 0;
}

static void add_usage(struct buf *out, const struct buf *metrics, struct usage *last)
{
    struct usage now = {.started = metric(metrics, "process_start_time_seconds"),
                        .cpu = metric(metrics, "process_cpu_seconds_total"),
                        .at = clock_real_now()};
    double seconds = (double)(now.at - last->at) / (double)NS_PER_S;
    bool same = last->at > 0 && now.started == last->started && now.cpu >= last->cpu;
    if (same && seconds > 0)
        buf_printf(out, "cpu %.1f %%", 100 * (now.cpu - last->cpu) / seconds);
    else
        buf_text(out, "cpu -");
    buf_printf(out, "  memory %.1f MiB  descriptors %.0f  threads %.0f\n",
               metric(metrics, "process_resident_memory_bytes") / (1 << 20),
               metric(metrics, "process_open_fds"), metric(metrics, "process_threads"));
    *last = now;
}

static int add_frame(struct options *options, struct buf *out, struct usage *last)
{
    auto_reply struct reply reply = {0};
    auto_buf struct buf status = {0};
    int64_t until = deadline_of(options, FRAME_MS);
    int answer = status_text(options, &status, until, &reply);
    if (answer == YES)
        answer = ask(options, "GET /metrics", until, &reply);
    if (answer == USAGE || answer == FORBIDDEN)
        return fail(answer, "%s", reply.why);
    if (answer != YES) {
        buf_printf(out, "no answer: %s\n", reply.why);
        return answer;
    }
    add_usage(out, &reply.body, last);
    buf_add(out, status.data, status.size);
    out->failed |= status.failed;
    return YES;
}

/* Without stdio: what a signal finds in its buffer would be written after the restoring. */
static bool draw(struct buf *frame, bool terminal)
{
    auto_buf struct buf out = {0};
    struct winsize size = {0};
    bool empty = anew;
    anew = false;
    if (terminal) {
        (void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        buf_text(&out, empty ? "\033[2J" : "");
        buf_text(&out, DRAWING "\033[H\033[K");
        drawing = true;
    }
    show_text(&out, frame, !terminal ? 0 : size.ws_row > 1 ? size.ws_row - 1U : 23);
    buf_text(&out, terminal ? "\033[J" : "\n");
    errno = out.failed ? ENOMEM : -fd_write_all(STDOUT_FILENO, out.data, out.size);
    return errno == 0;
}

/* Waits for the next frame; false: q was pressed. */
static bool next_frame(int64_t at, bool keys)
{
    for (;;) {
        int64_t left = (at - clock_real_now()) / NS_PER_MS;
        if (left <= 0 || anew)
            return true;
        struct pollfd key = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
        char c = 'q';
        if (poll(&key, 1, (int)left) == 1 && (read(STDIN_FILENO, &c, 1) <= 0 || c == 'q'))
            return false;
    }
}

int run_top(struct options *options)
{
    bool terminal = isatty(STDOUT_FILENO);
    bool keys = terminal && isatty(STDIN_FILENO);
    struct usage last = {0};
    int answer = YES;
    const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        (void)sigaction(signals[i], &(const struct sigaction){.sa_handler = end_on_signal}, NULL);
    catch_stop();
    (void)sigaction(
        SIGCONT, &(const struct sigaction){.sa_handler = go_on_on_signal, .sa_flags = SA_RESTART},
        NULL);
    (void)atexit(restore);
    if (keys)
        take_keys();
    for (int64_t i = 1;; i++) {
        auto_buf struct buf frame = {0};
        int64_t at = clock_after_ms(clock_real_now(), FRAME_MS);
        answer = add_frame(options, &frame, &last);
        if (answer == USAGE || answer == FORBIDDEN)
            return answer;
        if (!draw(&frame, terminal))
            return fail(NO, "standard output: %m");
        if (i == options->frames || !next_frame(at, keys))
            return i == options->frames ? answer : YES;
    }
}
