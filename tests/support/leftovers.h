/* SPDX-License-Identifier: MIT
 *
 * What a process holds: open descriptors, threads, children. Compared before and after a test.
 */
#ifndef TESTS_LEFTOVERS_H
#define TESTS_LEFTOVERS_H

#include <stdbool.h>
#include <stddef.h>

#define LEFTOVERS_MAX 256

struct leftovers {
    unsigned descriptor_count, thread_count;
    struct leftovers_descriptor {
        int number;
        char target[100];
    } descriptors[LEFTOVERS_MAX];
    struct leftovers_thread {
        int id;
        char name[20];
    } threads[LEFTOVERS_MAX];
};

void leftovers_look(struct leftovers *out);

/* True when nothing is left that was not there before; else text names each thing. Gives threads
 * that are just ending up to a second to be gone: joined is a little earlier than gone. */
bool leftovers_none(const struct leftovers *before, char *text, size_t size);

#endif
