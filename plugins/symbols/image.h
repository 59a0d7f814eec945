/* SPDX-License-Identifier: MIT
 *
 * What libdw reads of a file, at its places, in memory that is given back as a whole: on the heap
 * of the program it would leave holes of many megabytes. The file is not mapped: one that is
 * written over meanwhile would end the program. Threads: one at a time.
 */
#ifndef PLUGINS_SYMBOLS_IMAGE_H
#define PLUGINS_SYMBOLS_IMAGE_H

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>

struct image {
    char *data; /* the file, and behind it what was compressed in it; NULL: there is none */
    size_t size;
    Elf *elf; /* of it */
};

/* false: it is no file of the kind, it has more than 256 MiB of debug information, or there is no
 * memory; nothing is left. */
bool image_read(int fd, struct image *out);

/* Takes an empty one too. */
void image_free(struct image *image);

#endif
