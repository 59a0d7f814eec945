/* SPDX-License-Identifier: MIT
 *
 * The milestones of a run, told to the log, to systemd and to the exit hook: started, draining,
 * stopping, done; and why it ended. Threads: control.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "runner.h"

void outcome_started(srun_runner *runner, int64_t now);
void outcome_draining(srun_runner *runner);
void outcome_stopping(srun_runner *runner, int64_t now);

/* Is the program ready: do all services run, and nothing drains or stops? Publishes the answer, and
 * when it is yes tells it to systemd. */
void outcome_look_ready(srun_runner *runner);

/* All has stopped or was given up: settles the exit code and calls the exit hook. */
void outcome_done(srun_runner *runner, int64_t now);

/* After done: finished, once the hook has returned or its time is over. */
void outcome_leave(srun_runner *runner, int64_t now);

/* Once the sequence has a cause, words it for people. */
void outcome_fix_cause(srun_runner *runner);

/* Something went wrong; the first such text after the cause is kept for the last line. service may
 * be NULL. */
void outcome_note(srun_runner *runner, const struct service *service, const char *phase,
                  const char *text);

/* A verb of a service failed: in its view, in the log, and noted. */
void outcome_failed(srun_runner *runner, struct service *service, const char *verb,
                    const char *text, int code);

/* The last error of a service; failed: more than "not yet". */
void outcome_publish_error(struct service *service, const char *text, bool failed);

/* The thread of a service said its last word but does not end. */
void outcome_thread_left(srun_runner *runner, const struct service *service);

/* A second SIGINT or SIGQUIT: tells who is in the way and ends the process (tests: the run). */
void outcome_force(srun_runner *runner, int signo);

#endif
