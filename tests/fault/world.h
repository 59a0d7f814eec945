/* SPDX-License-Identifier: MIT
 *
 * Four services that note which verb was called when: "db", then the group of "cache" and "queue",
 * then "http". Between them they use every verb and every kind of context call. One world at a
 * time. Threads: those of the services note, the test's thread asks.
 */
#ifndef TESTS_FAULT_WORLD_H
#define TESTS_FAULT_WORLD_H

#include <srun/srun.h>
#include <stdbool.h>
#include <stddef.h>

enum { WORLD_SERVICES = 4 };

/* Forgets everything. */
void world_begin(void);

/* What the scenarios have in common: no signals, logs to this descriptor, short limits. */
struct srun_config world_config(int log_fd);

/* Adds a flag, the listener and the services. As srun_setup. */
int world_setup(srun_runner *runner, void *user, srun_err *err);

/* Adds service number i. */
int world_add(srun_runner *runner, unsigned i, srun_err *err);
const char *world_name(unsigned i);

/* How often hooks.exited was called, and with which code. */
unsigned world_exits(int *code);

/* How many transitions the listener was told. */
unsigned world_transitions(void);

/* How many services were initiated. */
unsigned world_initiated(void);

/* Whether what was initiated was stopped exactly once, nothing else was, later units before earlier
 * ones, and each of the first `added` was destroyed exactly once, in reverse; text says what not.
 */
bool world_is_rolled_back(unsigned added, char *text, size_t size);

/* The same, but a stop may be missing: for a process that is left in a hurry. */
bool world_is_in_order(char *text, size_t size);

#endif
