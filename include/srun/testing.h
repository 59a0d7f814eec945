/* SPDX-License-Identifier: MIT
 *
 * For tests of your own services: a runner on a virtual clock, with injected signals, driven by a
 * thread of the harness. Time stands still until the test moves it; waits for events have a limit
 * in real time. Threads: all calls from the test's thread.
 */
#ifndef SRUN_TESTING_H
#define SRUN_TESTING_H

#include <srun/runner.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct srun_test srun_test;

/* A runner whose clock is virtual and whose signals are injected (signals.disabled is implied, so
 * many can live in one process). Owned by the caller. Errors as srun_runner_new. */
SRUN_API int srun_test_new(srun_test **out, const struct srun_config *config, srun_err *err);

/* Add services to this one; it belongs to the test. */
SRUN_API srun_runner *srun_test_runner(srun_test *test);

/* Starts it on a thread of its own and returns at once. Errors as srun_runner_start. */
SRUN_API int srun_test_start(srun_test *test, srun_err *err);

/* Waits until the service is in the state; 0, or -ETIMEDOUT after limit_ms of real time (err then
 * says where it stands), or -ENOENT. */
SRUN_API int srun_test_wait_state(srun_test *test, const char *service, srun_state state,
                                  int64_t limit_ms, srun_err *err);

/* Moves the clock; sleepers and deadlines that fall due are served before it returns, in order of
 * time. What a service does then runs on its own thread: wait for its effect. */
SRUN_API void srun_test_advance_ms(srun_test *test, int64_t ms);

/* Milliseconds since srun_test_new on the virtual clock. */
SRUN_API int64_t srun_test_now_ms(const srun_test *test);

/* As if the process had received it: SIGTERM, SIGINT, SIGQUIT, SIGHUP. A forced stop does not end
 * the process here: srun_test_finish answers 128+n. 0; -EINVAL: another signal; SRUN_ESTATE: not
 * started. */
SRUN_API int srun_test_signal(srun_test *test, int signo);

/* Waits for the end and returns the exit code, or -ETIMEDOUT after limit_ms of real time;
 * SRUN_ESTATE: not started. */
SRUN_API int srun_test_finish(srun_test *test, int64_t limit_ms);

/* Stops what still runs (moving the clock past every limit), then frees. NULL is fine. */
SRUN_API srun_test *srun_test_free(srun_test *test);

#ifdef __cplusplus
}
#endif
#endif
