/* SPDX-License-Identifier: MIT */
#include "scenario.h"

#include "leftovers.h"

#include <stdio.h>
#include <string.h>

#define POINTS_MAX 2000

static unsigned stride = 1;

static struct {
    unsigned kinds, point;
    bool lasting;
    bool elsewhere; /* it was in another process that a call failed */
    char name[32];
} now;

void scenario_stride(unsigned n)
{
    stride = n;
}

void scenario_arm(void)
{
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

void scenario_failed_elsewhere(const char *name)
{
    now.elsewhere = true;
    (void)snprintf(now.name, sizeof now.name, "%s", name);
}

const char *scenario_point(void)
{
    static char text[64];
    (void)snprintf(text, sizeof text, "call %u, %s,", now.point,
                   now.elsewhere ? now.name : fault_name());
    return text;
}

void scenario_assert_error(int rc, const srun_err *err)
{
    SCENARIO_ASSERT(rc < 0, "%d", rc);
    SCENARIO_ASSERT(rc == -fault_errno() || rc == SRUN_EUSAGE, "%d: %s", rc, err->text);
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

static void each(const char *name, unsigned kinds, void (*once)(void *arg), void *arg)
{
    now.kinds = kinds;
    now.point = 0;
    (void)run_point(once, arg); /* what is made once per process is made now */
    unsigned tried = 0;
    for (now.point = 1; run_point(once, arg); now.point += stride) {
        ck_assert_uint_lt(now.point, POINTS_MAX);
        tried++;
    }
    printf("fault: %s: %u points\n", name, tried);
    (void)fflush(stdout);
    ck_assert_uint_gt(now.point, 1);
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
