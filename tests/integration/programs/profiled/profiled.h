/* SPDX-License-Identifier: MIT */
#ifndef PROFILED_H
#define PROFILED_H

/* Threads that wait for locks, for ever: does what a word of the plan says, if it is about that. */
void locks_take_word(const char *word);

#endif
