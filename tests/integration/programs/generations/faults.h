/* SPDX-License-Identifier: MIT
 *
 * What goes wrong in one generation of the test server, and where. A process reads the file
 * faults.GENERATION of its working directory when it begins, and removes it: the next attempt at
 * that generation is a good one. Each line is a place and what happens there, once:
 *
 *     init kill              the process is in init ("start", "init", "run": see server.c)
 *     send:READY garble      instead of sending this message
 *     sent:READY exit:1      when it was sent
 *     receive:COMMIT stop    when it was received, and nobody has seen it yet
 *     call:posix_spawn error:EAGAIN
 *
 * kill segv exit:CODE stop (SIGSTOP): the whole process. error:ERRNO: the call fails. drop, garble,
 * short, twice, extra (a descriptor nobody wants), strange (the name of another program), future
 * (no common version): the message. helper: a process that keeps a copy of every descriptor.
 * hold:FIFO waits until somebody opens the FIFO for writing. Each is told on stderr before it
 * happens.
 */
#ifndef FAULTS_H
#define FAULTS_H

extern unsigned faults_generation;

/* First of all. */
void faults_load(void);

/* Does what was ordered for this place. 0, or the negative errno that it orders. */
int faults_at(const char *place);

/* Does it now; of messages: the other generation is sent a PONG that is broken in this way. */
int faults_do(const char *place, const char *action);

#endif
