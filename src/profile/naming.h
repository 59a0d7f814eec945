/* SPDX-License-Identifier: MIT
 *
 * What stands between libsrun and libsrun-symbols.so.0, the plugin that reads debug information: an
 * address of a file goes in, functions and lines come out. Both come from one build: another
 * version of the plugin is not used.
 */
#ifndef PROFILE_NAMING_H
#define PROFILE_NAMING_H

#include <stddef.h>
#include <stdint.h>

#define NAMING_LIBRARY "libsrun-symbols.so.0"
#define NAMING_SYMBOL "srun_symbols_plugin"

struct name {
    const char *function;
    const char *file; /* or NULL, and no line */
    int line, start_line;
};

struct naming_file {
    int fd;           /* of the module itself; borrowed while it is open */
    const char *path; /* of which debug information may lie beside */
    const unsigned char *build_id;
    size_t build_id_size; /* 0: it has none, and no other file is taken for its */
};

struct naming_plugin {
    size_t size;         /* of this struct */
    const char *version; /* SRUN_VERSION_TEXT of its build */
    /* NULL: there is no debug information. */
    void *(*open)(const struct naming_file *file);
    /* A file of its own that has the information, and all symbols; -1: the module itself has. */
    int (*debug_fd)(void *module);
    /* The functions at an address, the innermost inlined one first; how many. Texts are the
     * module's, until it is closed. */
    size_t (*find)(void *module, uint64_t address, struct name *out, size_t max);
    void (*close)(void *module);
};

#endif
