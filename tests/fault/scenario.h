/* SPDX-License-Identifier: MIT
 *
 * A scenario is run again and again: first without a failure, then with the first call failing,
 * then the second, until a run passes in which nothing failed. After each run all memory,
 * descriptors and threads must be back.
 */
#ifndef TESTS_FAULT_SCENARIO_H
#define TESTS_FAULT_SCENARIO_H

#include "harness.h"
#include "wrap.h"

#include <srun/srun.h>

/* Runs `once` for each point; it calls scenario_arm where failures begin, and scenario_disarm
 * where they end. Prints how many points were tried. */
void scenario_each(const char *name, unsigned kinds, void (*once)(void *arg), void *arg);

/* As above, but from the failing call on all fail. */
void scenario_each_lasting(const char *name, unsigned kinds, void (*once)(void *arg), void *arg);

/* For what ends the process that it fails in, so that nobody can tell whether it did: the first
 * `most` points. */
void scenario_each_until(const char *name, unsigned kinds, unsigned most, void (*once)(void *arg),
                         void *arg);

/* From now on only every n-th point: for scenarios that take their time. */
void scenario_stride(unsigned n);

void scenario_arm(void);

/* How many calls were made to fail. */
unsigned scenario_disarm(void);

/* The errno of the failed call. */
int scenario_errno(void);

/* Whether that is the errno of the failed call, or of the second one. */
bool scenario_is_told(int error);

/* The same of a text. */
bool scenario_is_in(const char *text);

/* For calls that failed in another process. */
void scenario_failed_elsewhere(const char *name);

/* Runs body(arg), which arms and disarms, in a process of its own: for what a process does once
 * only, or does to itself. It must end by itself, with all memory given back. */
void scenario_in_child(void (*body)(void *arg), void *arg);

/* "call 7, eventfd": for what an assertion says. */
const char *scenario_point(void);

#define SCENARIO_ASSERT(condition, ...)                                                            \
    do {                                                                                           \
        char said_[1600];                                                                          \
        (void)snprintf(said_, sizeof said_, __VA_ARGS__);                                          \
        ck_assert_msg(condition, "when %s fails: %s: %s", scenario_point(), #condition, said_);    \
    } while (0)

/* An error of the library is the one of the failed call, or SRUN_EUSAGE, and says so. */
void scenario_assert_error(int rc, const srun_err *err);

#endif
