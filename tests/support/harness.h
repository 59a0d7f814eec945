/* SPDX-License-Identifier: MIT
 *
 * What every suite is written with: Check, a process per test, and a look at what a test left
 * behind. A test that leaks a descriptor, a thread or a child fails, whatever it asserted.
 *
 *     START_TEST(refuses_an_empty_name) { ... } END_TEST
 *     int main(void) { return HARNESS("runner", refuses_an_empty_name, ...); }
 *
 * The program then answers --list, and takes the name of a test, or a regular expression that
 * stands for several. CK_FORK=no, or gdb, runs the tests in one process and without time limits.
 */
#ifndef TESTS_HARNESS_H
#define TESTS_HARNESS_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#define HARNESS(suite, ...) harness_run((suite), (const TTest *[]){__VA_ARGS__, NULL})

/* Runs each test as a case of its own name and prints "SUITE: N passed, N failed" last. The tests
 * see default signal handlers, nothing blocked, no service manager, and no SRUN_* variables but
 * SRUN_ADMIN=false. */
int harness_run(const char *suite, const TTest *const *tests);

/* The limit of each test, instead of 60 s. Call it before HARNESS. */
void harness_limit_ms(int64_t ms);

/* Called once, before the sum is printed; `all`: no test was left out. */
void harness_at_end(void (*tell)(bool all));

/* How much slower this build is than a plain one: 1, or 5 under a sanitizer. Limits in tests of
 * real time are multiplied by it; harness_run, harness_wait and harness_limit_ms do so already. */
int harness_slowness(void);

/* A fresh private folder, removed with its contents after the test. Borrowed. */
const char *harness_folder(void);

/* Waits, with a limit in ms of real time, until probe(arg) is true; false when the limit passed. */
bool harness_wait(bool (*probe)(void *arg), void *arg, int64_t limit_ms);

/* Monotonic milliseconds. */
int64_t harness_now_ms(void);

#endif
