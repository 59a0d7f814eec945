/* SPDX-License-Identifier: MIT
 *
 * What the kernel says of this process: its descriptors, its threads, its ancestors. Threads: any.
 */
#ifndef BASE_PROC_H
#define BASE_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proc_list {
    int *numbers; /* ascending; owned, freed by proc_list_free */
    size_t count;
};

/* The open descriptors (without the one used for looking), or the thread ids. 0 or a negative
 * errno; then the list is empty. */
int proc_descriptors(struct proc_list *out);
int proc_threads(struct proc_list *out);

/* How many descriptors are open, or a negative errno. */
int64_t proc_descriptor_count(void);

void proc_list_free(struct proc_list *list);

/* A millisecond, for what the kernel does without telling: a joined thread leaves its list. */
void proc_wait_a_moment(void);

int proc_list_has(const struct proc_list *list, int number);

/* Was this process started by the other one, or by one that was? False also when it has ended. */
bool proc_is_below(int pid, int ancestor);

/* Is a thread of this process, other than the calling one, whose name begins so, on a processor, or
 * waiting for one, or for the disk? False also when that cannot be seen. */
bool proc_works(const char *names);

/* What a descriptor is ("socket:[123]"), or the name of a thread; "?" when it has gone. */
void proc_descriptor_name(int fd, char *out, size_t size);
void proc_thread_name(int tid, char *out, size_t size);

/* The beginning of /proc/self/task/TID/NAME; "" when it cannot be read. */
void proc_thread_file(int tid, const char *name, char *out, size_t size);

/* The same of "status", without the list of groups, which may be longer than all the rest. */
#define PROC_STATUS_MAX 8192
void proc_thread_status(int tid, char out[PROC_STATUS_MAX]);

#endif
