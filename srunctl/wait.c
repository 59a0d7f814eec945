/* SPDX-License-Identifier: MIT
 *
 * The commands that wait: for a probe, for the end of the program, for the end of an upgrade. They
 * ask ten times a second, until the time is up; a program that cannot be reached meanwhile may well
 * come, or come back.
 */
#include "base/auto.h"
#include "base/clock.h"
#include "base/duration.h"
#include "srunctl.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAIT_MS 30000
#define PACE_MS 100
#define UPGRADE_MS 600000LL /* what the program waits at most */
#define ROLLED_BACK 5       /* so many looks in a row see the old generation alone */

struct wait {
    struct options *options;
    const char *what;
    int64_t until;
    char why[400]; /* it is not so yet */
};

static struct wait wait_for(struct options *options, const char *what)
{
    return (struct wait){.options = options, .what = what, .until = deadline_of(options, WAIT_MS)};
}

/* Asks; the last request gets a moment even when the time is up. */
static int ask_again(const struct wait *wait, const char *request, struct reply *reply)
{
    return ask(wait->options, request, request_deadline(wait->until), reply);
}

/* Not yet: one more look? Somebody at a terminal is told each new reason. */
static bool goes_on(struct wait *wait, const char *why)
{
    bool told = strncmp(wait->why, why, sizeof wait->why - 1) == 0;
    (void)snprintf(wait->why, sizeof wait->why, "%s", why);
    if (clock_real_now() >= wait->until)
        return false;
    if (!told && isatty(STDERR_FILENO))
        (void)fail(NO, "waits for %s: %s", wait->what, why);
    (void)poll(NULL, 0, PACE_MS);
    return true;
}

static int too_late(const struct wait *wait)
{
    char text[DURATION_TEXT_MAX];
    int64_t ms = wait->options->timeout_ms >= 0 ? wait->options->timeout_ms : WAIT_MS;
    (void)duration_format(text, ms < INT64_MAX / NS_PER_MS ? ms * NS_PER_MS : INT64_MAX);
    return fail(NO, "waited %s for %s: %s", text, wait->what, wait->why);
}

int run_wait(struct options *options)
{
    static const struct probe {
        int letter;
        const char *what, *request;
    } probes[] = {{'r', "ready", "GET /readyz"},
                  {'l', "live", "GET /livez"},
                  {'e', "healthy", "GET /healthz"},
                  {'g', "gone", "GET /livez"}};
    const struct probe *probe = probes;
    while (probe->letter != options->probe)
        probe++;
    struct wait wait = wait_for(options, probe->what);
    auto_reply struct reply reply = {0};
    do {
        int answer = ask_again(&wait, probe->request, &reply);
        if (probe->letter == 'g' ? is_gone(&reply) : answer == YES)
            return YES;
        if (answer == USAGE || answer == FORBIDDEN)
            return fail(answer, "%s", reply.why);
    } while (goes_on(&wait, reply.why[0] != '\0' ? reply.why : "it still answers"));
    return too_late(&wait);
}

/* --- stop ------------------------------------------------------------------------------------ */

/* The process that serves, if it is the one that listens, and in our pid namespace; else -1, as for
 * one that has ended. */
static int open_process(const struct wait *wait, int *out, struct reply *reply)
{
    char pid[16];
    *out = -1;
    int answer = ask_again(wait, "GET /status.json", reply);
    if (answer != YES || reply->pid <= 0 || !json_find(&reply->body, "pid", pid, sizeof pid) ||
        strtol(pid, NULL, 10) != reply->pid)
        return answer;
    *out = (int)syscall(SYS_pidfd_open, reply->pid, 0);
    if (*out >= 0 || errno == ESRCH)
        return YES;
    (void)snprintf(reply->why, sizeof reply->why, "stop --wait: pid %d: %s", reply->pid,
                   strerror(errno));
    return NO;
}

static bool has_ended(int process)
{
    struct pollfd ended = {.fd = process, .events = POLLIN};
    return process < 0 || poll(&ended, 1, 0) == 1;
}

int run_stop(struct options *options)
{
    if (!options->wait)
        return run_request(options, "POST /admin/stop");
    struct wait wait = wait_for(options, "its end");
    auto_close int process = -1;
    auto_reply struct reply reply = {0};
    int answer = open_process(&wait, &process, &reply);
    if (answer == YES)
        answer = ask_again(&wait, "POST /admin/stop", &reply);
    if (answer != YES)
        return fail(answer, "%s", reply.why);
    do {
        (void)ask_again(&wait, "GET /livez", &reply);
        if (is_gone(&reply) && has_ended(process))
            return YES;
    } while (goes_on(&wait, is_gone(&reply) ? "nobody listens, but the process lives"
                                            : "it still answers"));
    return too_late(&wait);
}

/* --- upgrade --------------------------------------------------------------------------------- */

/* What /generations tells: "GENERATION PID ..." in each line behind the heading. */
struct generations {
    unsigned count;
    unsigned long newest;
    long pid;
};

static int look(const struct wait *wait, struct generations *out, struct reply *reply)
{
    *out = (struct generations){0};
    int answer = ask_again(wait, "GET /generations?format=text", reply);
    if (answer != YES)
        return answer;
    char *rest = reply->body.data;
    for (char *line; (line = strsep(&rest, "\n")) != NULL;) {
        char *end = line;
        unsigned long generation = strtoul(line, &end, 10);
        long pid = strtol(end, NULL, 10);
        if (generation == 0 || pid <= 0)
            continue;
        out->count++;
        if (generation >= out->newest) {
            out->newest = generation;
            out->pid = pid;
        }
    }
    if (out->count == 0)
        (void)snprintf(reply->why, sizeof reply->why, "GET /generations: there is none in it");
    return out->count > 0 ? YES : NO;
}

/* Which generation the answer leads to: "generation 3 serves"; or, when there was an attempt
 * already and the request comes after it, "passed on to generation 3". Without a word of it the
 * next one. */
static unsigned long generation_to_come(const struct reply *reply, const struct generations *old)
{
    static const char word[] = "generation ";
    const char *text = reply->body.data != NULL ? reply->body.data : "";
    const char *at = strstr(text, word);
    unsigned long told = at != NULL ? strtoul(at + sizeof word - 1, NULL, 10) : 0;
    return told == 0 ? old->newest + 1 : strstr(text, "passed on") != NULL ? told + 1 : told;
}

/* Done when the newest generation is a new one, alone, and ready. */
static int follow(struct wait *wait, const struct generations *old, unsigned long wanted)
{
    struct generations now;
    auto_reply struct reply reply = {0};
    int back = 0;
    do {
        int answer = look(wait, &now, &reply);
        bool is_new = answer == YES && now.newest >= wanted && now.pid != old->pid;
        bool alone = answer == YES && now.count == 1;
        back = alone && !is_new ? back + 1 : 0;
        if (back == ROLLED_BACK)
            return fail(NO,
                        "upgrade: the new process did not stay; generation %lu, pid %ld, serves",
                        now.newest, now.pid);
        if (is_new && alone && ask_again(wait, "GET /readyz", &reply) == YES)
            return printf("generation %lu, pid %ld, is ready; pid %ld has ended\n", now.newest,
                          now.pid, old->pid) > 0
                       ? YES
                       : NO;
        if (is_new && !alone)
            (void)snprintf(reply.why, sizeof reply.why,
                           "generation %lu, pid %ld, is there; %u before it still live", now.newest,
                           now.pid, now.count - 1);
    } while (goes_on(wait, reply.why[0] != '\0' ? reply.why : "the old generation serves"));
    return too_late(wait);
}

int run_upgrade(struct options *options)
{
    if (!options->wait)
        return run_request(options, "POST /admin/upgrade");
    struct wait wait = wait_for(options, "the new generation");
    auto_reply struct reply reply = {0};
    struct generations old;
    int answer = look(&wait, &old, &reply);
    if (answer != YES)
        return fail(answer, "%s", reply.why);
    char request[64];
    int64_t left = (wait.until - clock_real_now()) / NS_PER_MS;
    (void)snprintf(request, sizeof request, "POST /admin/upgrade?wait=%lldms",
                   left < 1            ? 1LL
                   : left > UPGRADE_MS ? UPGRADE_MS
                                       : (long long)left);
    answer = ask(options, request, clock_after_ms(wait.until, PACE_MS), &reply);
    /* Who has given its place away may end before it has answered, and who is not done in time is
     * not done: what follows tells. */
    if (answer != YES && answer != UNREACHABLE && reply.status != 504)
        return fail(answer, "%s", reply.why);
    return follow(&wait, &old, generation_to_come(&reply, &old));
}
