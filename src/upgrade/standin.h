/* SPDX-License-Identifier: MIT
 *
 * Another process for a moment, so that systemd looks at this one anew.
 *
 * systemd looks whether a main process is its child when MAINPID= names it, and only when it names
 * another one than before. A new generation is named while the old one is still its parent, so
 * systemd takes it for a stranger, whose end it would not notice, and a stop does not wait for it:
 * SIGKILL follows SIGTERM at once. Later, when it has become systemd's child, only a change to
 * another process and back makes systemd see that.
 *
 * The other one is made by clone, not by fork: no page table is copied, its memory and its
 * descriptors are ours. It is not our child but our parent's, by CLONE_PARENT: systemd is not led
 * to believe in one more stranger, and no SIGCHLD and no wait of the program can find it.
 *
 *     this process    BARRIER=1                    systemd answers, and has nothing older to read
 *     this process    MAINPID=<the stand-in>
 *     the stand-in    MAINPID=<this process>       each is said by the one that is believed at that
 *     the stand-in    BARRIER=1                    moment, so that NotifyAccess=main will do
 *
 * The stand-in ends when that is answered, or with this process: then systemd sees the main process
 * fail, as it should. Signals that it got in between were meant for this process and are passed on.
 */
#ifndef UPGRADE_STANDIN_H
#define UPGRADE_STANDIN_H

#include <srun/error.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct standin_request {
    struct sockaddr_un manager; /* where it listens */
    socklen_t size;
    int64_t patience_ns; /* with a manager that is busy, before anything has changed */
    int stop; /* when this is readable, it does not begin, or waits for the end no longer */
};

/* To be called when systemd is this process's parent. Waits for a manager that is busy: patience_ns
 * before anything has changed; after that until it has heard all. 0; -ECANCELED: stopped; or a
 * negative errno with a text: then the main process is the one it was. Threads: any but one that
 * others count on; the calling one shares its errno with the stand-in. One call at a time: -EBUSY.
 */
int standin_renew(const struct standin_request *request, srun_err *err);

#endif
