/* SPDX-License-Identifier: MIT
 *
 * The new process's first words: says hello, and takes everything over that the old one has a name
 * for. Waits, but never longer than the limit of a step; so it stands at the very beginning, before
 * any other thread exists.
 */
#ifndef UPGRADE_INHERIT_H
#define UPGRADE_INHERIT_H

#include "upgrade/origin.h"
#include "upgrade/sockets.h"

#include <srun/error.h>

struct inherit {
    const char *program, *version; /* who we are */
    const srun_err *unfit;         /* code < 0: why this process must not take over */
    /* What is filled in. */
    int channel, parent_pidfd, parent_pid;
    unsigned generation;
    unsigned descriptors; /* taken over */
    char trace_id[33], span_id[17];
    struct handover_boot boot;
};

/* 1: all is taken over, the channel and the pidfd are the caller's. 0: nobody started us for an
 * upgrade (or what claims so is not true: then as if nothing had been said). Negative: somebody
 * did, and it went wrong; err says how, and this process should end. */
int inherit_begin(struct inherit *inherit, struct sockets *sockets, srun_err *err);

#endif
