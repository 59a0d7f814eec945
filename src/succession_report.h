/* SPDX-License-Identifier: MIT
 *
 * What is told of upgrades: log, service manager, hooks of the program, those who wait for a
 * result, and the snapshot for srun_upgrade_info. Decides nothing. Threads: control, unless said
 * otherwise.
 */
#ifndef SUCCESSION_REPORT_H
#define SUCCESSION_REPORT_H

#include "runner.h"

/* While one more upgrade is remembered, others are hardly worth a word: a storm of them is quiet.
 * The service manager hears of them when that one begins. */
void report_asked(srun_runner *runner, const char *why);
void report_refusal(srun_runner *runner, const char *reason);
void report_launch(srun_runner *runner);
void report_office(srun_runner *runner);    /* this generation serves */
void report_passed_on(srun_runner *runner); /* what was asked for is the new process's to do */

/* SUCCEEDED, FAILED, ROLLED_BACK, SUCCESSION. */
void report_action(srun_runner *runner, const struct machine_action *action, int64_t now);

/* Calls the hook; on the thread of the caller, which is none of control's. */
int report_step_now(srun_runner *runner, srun_upgrade_step step, srun_err *err);

/* The hook that was called on the pool has returned. has_steps: it is called, or will be.
 * next_step: one that waits for a launch, which calls it too, can be told. */
void report_step_done(srun_runner *runner);
void report_next_step(srun_runner *runner);
bool report_has_steps(const srun_runner *runner);

void report_publish(srun_runner *runner);

#endif
