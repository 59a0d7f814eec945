/* SPDX-License-Identifier: MIT
 *
 * Acquire by scope, give away by take_*. `auto_free char *text = strdup(...)` is freed when the
 * scope ends, unless `take_ptr(text)` moved it out. Destructors accept half-built objects.
 */
#ifndef BASE_AUTO_H
#define BASE_AUTO_H

#include <stdlib.h>
#include <unistd.h>

static inline void auto_free_cleanup(void *pointer)
{
    free(*(void **)pointer);
}

static inline void auto_close_cleanup(const int *fd)
{
    if (*fd >= 0)
        (void)close(*fd); /* nothing is left to do about a failed close */
}

#define auto_free __attribute__((cleanup(auto_free_cleanup)))
#define auto_close __attribute__((cleanup(auto_close_cleanup)))

#define take_ptr(pointer)                                                                          \
    __extension__({                                                                                \
        __typeof__(pointer) taken_ = (pointer);                                                    \
        (pointer) = NULL;                                                                          \
        taken_;                                                                                    \
    })

static inline int take_fd(int *fd)
{
    int taken = *fd;
    *fd = -1;
    return taken;
}

#endif
