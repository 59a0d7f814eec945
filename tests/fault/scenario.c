/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "leftovers.h"
#include "sites.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define POINTS_MAX 2000

static unsigned stride = 1;

static struct {
    unsigned kinds, point;
    uintptr_t second; /* a site that fails too; 0: none */
    bool lasting;
    bool elsewhere; /* it was in another process that a call failed */
    char name[32];
} now;

void scenario_stride(unsigned n)
{
    stride = n;
    if (n > 1)
        sites_some_only();
}

void scenario_arm(void)
{
    fault_arm_second(now.second);
    fault_arm(now.kinds, now.point, now.lasting);
}

unsigned scenario_disarm(void)
{
    return fault_disarm();
}

int scenario_errno(void)
{
    return fault_errno();
}

bool scenario_is_told(int error)
{
    return error == fault_errno() || (fault_second_name() != NULL && error == fault_second_errno());
}

bool scenario_is_in(const char *text)
{
    return strstr(text, strerror(fault_errno())) != NULL ||
           (fault_second_name() != NULL && strstr(text, strerror(fault_second_errno())) != NULL);
}

void scenario_failed_elsewhere(const char *name)
{
    now.elsewhere = true;
    (void)snprintf(now.name, sizeof now.name, "%s", name);
}

void scenario_in_child(void (*body)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        long blocks = fault_blocks();
        body(arg);
        _exit(fault_blocks() != blocks ? 2 : fault_errno() != 0);
    }
    SCENARIO_ASSERT(waitpid(child, &status, 0) == child, "%m");
    SCENARIO_ASSERT(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    SCENARIO_ASSERT(WEXITSTATUS(status) < 2, "%s",
                    WEXITSTATUS(status) == 2 ? "it loses memory" : "it fails");
    if (WEXITSTATUS(status) == 1)
        scenario_failed_elsewhere("of a child");
}

const char *scenario_point(void)
{
    static char text[96];
    const char *second = fault_second_name();
    (void)snprintf(text, sizeof text, "call %u, %s,%s%s%s", now.point,
                   now.elsewhere ? now.name : fault_name(), second != NULL ? " and then " : "",
                   second != NULL ? second : "", second != NULL ? "," : "");
    return text;
}

void scenario_assert_error(int rc, const srun_err *err)
{
    SCENARIO_ASSERT(rc < 0, "%d", rc);
    SCENARIO_ASSERT(scenario_is_told(-rc) || rc == SRUN_EUSAGE, "%d: %s", rc, err->text);
    SCENARIO_ASSERT(err->code == rc, "%d, but err.code is %d", rc, err->code);
    SCENARIO_ASSERT(err->text[0] != '\0', "no text");
}

/* True when a call was made to fail. */
static bool run_point(void (*once)(void *arg), void *arg)
{
    struct leftovers before;
    char left[512];
    long blocks = fault_blocks();
    leftovers_look(&before);
    fault_arm(0, 0, false);
    now.elsewhere = false;
    once(arg);
    bool hit = fault_disarm() > 0 || now.elsewhere;
    bool clean = leftovers_none(&before, left, sizeof left);
    SCENARIO_ASSERT(clean, "left behind: %s", left);
    SCENARIO_ASSERT(fault_blocks() == blocks, "%ld blocks are lost", fault_blocks() - blocks);
    return hit;
}

/* What is done about a failure can fail too: each call that is made only then, once. And where
 * several threads call, the k-th is not always the same one: what was never hit by chance, by its
 * place. */
static unsigned try_the_spared(void (*once)(void *arg), void *arg)
{
    unsigned tried = 0;
    while (sites_spared(&now.second, &now.point)) {
        (void)run_point(once, arg);
        tried++;
    }
    now.second = 0;
    return tried;
}

static void each(const char *name, unsigned kinds, void (*once)(void *arg), void *arg)
{
    now.kinds = kinds;
    now.point = 0;
    sites_begin();
    (void)run_point(once, arg); /* what is made once per process is made now */
    unsigned tried = 0;
    for (now.point = 1; run_point(once, arg); now.point += stride) {
        ck_assert_uint_lt(now.point, POINTS_MAX);
        tried++;
    }
    unsigned more = now.lasting || stride > 1 ? 0 : try_the_spared(once, arg);
    printf("fault: %s: %u points, %u more by place\n", name, tried, more);
    (void)fflush(stdout);
    ck_assert_uint_gt(tried, 0);
}

void scenario_each_until(const char *name, unsigned kinds, unsigned most, void (*once)(void *arg),
                         void *arg)
{
    now.lasting = false;
    now.kinds = kinds;
    for (now.point = 1; now.point <= most; now.point += stride)
        (void)run_point(once, arg);
    printf("fault: %s: the first %u calls\n", name, most);
    (void)fflush(stdout);
}

void scenario_each(const char *name, unsigned kinds, void (*once)(void *arg), void *arg)
{
    now.lasting = false;
    each(name, kinds, once, arg);
}

void scenario_each_lasting(const char *name, unsigned kinds, void (*once)(void *arg), void *arg)
{
    now.lasting = true;
    each(name, kinds, once, arg);
}
