/* SPDX-License-Identifier: MIT
 *
 * Text that grows. Out of memory is remembered, and found at the end: what is added after it is
 * dropped. Threads: one at a time.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NUL-ended once something was added; else NULL */
    size_t size, capacity;
    bool failed; /* out of memory */
};

/* Makes sure of room for so many more bytes and a NUL; false: out of memory, now or before. Who
 * fills the room itself sets the size, and NUL-ends it where that matters. */
bool buf_reserve(struct buf *buf, size_t more);

void buf_add(struct buf *buf, const void *data, size_t size);
void buf_text(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *buf, const char *format, va_list arguments)
    __attribute__((format(printf, 2, 0)));

/* A number with so many decimals, at most 6, right-aligned in so many bytes, whatever the locale;
 * |value| below 1e12. */
void buf_fixed(struct buf *buf, double value, int decimals, int width);

/* Frees and empties it. */
void buf_free(struct buf *buf);

static inline void auto_buf_cleanup(struct buf *buf)
{
    buf_free(buf);
}

#define auto_buf __attribute__((cleanup(auto_buf_cleanup)))

#endif
