/* SPDX-License-Identifier: MIT
 *
 * Texts that values refer to: a ring that keeps the newest TEXTS_SIZE bytes. A reference whose text
 * was overwritten reads as no text, never as another one. The same text that comes again soon gets
 * the same reference. A forked child starts with none. Made on first use and kept by the process.
 * Threads: any.
 */
#ifndef TELEMETRY_TEXTS_H
#define TELEMETRY_TEXTS_H

#include <stddef.h>
#include <stdint.h>

#define TEXTS_SIZE ((size_t)4 * 1024 * 1024)
#define TEXTS_MAX 8192 /* of one */

/* A reference; 0 for the empty text, one that is too long, and without memory. */
uint64_t texts_keep(const char *text, size_t size);

/* Copies it, and a NUL; returns its size. 0 and "" for 0 and for what has been overwritten. out has
 * TEXTS_MAX + 1 bytes, or size is what it has, and only a text that fits is copied. */
size_t texts_read(uint64_t reference, char *out, size_t size);

#endif
