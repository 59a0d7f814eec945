/* SPDX-License-Identifier: MIT
 *
 * Errors are values. A call answers 0, or a negative number: a negated errno (-EINVAL), or one of
 * the SRUN_E codes below -1000. The text travels in a caller-owned srun_err, which is always the
 * last parameter and may be NULL. There is no thread-local "last error": results cross threads.
 */
#ifndef SRUN_ERROR_H
#define SRUN_ERROR_H

#include <srun/version.h>

/* What a call is given, written where it is called: for the macros of the other headers. In C it
 * lives to the end of the block, in C++, which has no compound literals, to that of the call. */
#ifndef __cplusplus
#define SRUN_ARRAY_(type, ...) ((const type[]){__VA_ARGS__})
#else
#include <initializer_list>
#define SRUN_ARRAY_(type, ...) (std::initializer_list<type>{__VA_ARGS__}.begin())
#endif
#define SRUN_STRUCT_(type, ...) SRUN_ARRAY_(struct type, {.size = sizeof(struct type), __VA_ARGS__})

#ifdef __cplusplus
extern "C" {
#endif

enum {
    SRUN_ESTATE = -1001, /* the call does not fit the present state: adding after start, ... */
    SRUN_EFORK = -1002,  /* called in a forked child, where the runner does not exist */
    SRUN_EUSAGE = -1003, /* the command line, the file or an SRUN_* variable is wrong */
    SRUN_EUPGRADE = -1004, /* an upgrade failed or was refused; the old process serves on */
    SRUN_ECLOSED = -1005,  /* nothing will come any more */
};

/* 256 bytes. Start with `srun_err err = {0};`. */
typedef struct srun_err {
    int code;       /* what the call returned */
    char text[252]; /* one line for people: what, which value, what is accepted */
} srun_err;

/* Fills *err (when not NULL) and returns code, so an error line is `return srun_fail(err, -errno,
 * "eventfd: %m");`. Text that does not fit is cut; control characters, and what is not UTF-8,
 * become ?. errno is kept. Threads: any. */
SRUN_API int srun_fail(srun_err *err, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A short text for any code this library returns, "timed out" for -ETIMEDOUT. Static storage for
 * the SRUN_E codes, strerrordesc_np's for the others. Threads: any. */
SRUN_API const char *srun_strerror(int code);

/* Prints "NAME: TEXT" to stderr and returns the exit code that fits: 2 for SRUN_EUSAGE, else 1.
 * Meant for main(): `return srun_report(&err);`. Threads: any. */
SRUN_API int srun_report(const srun_err *err);

#ifdef __cplusplus
}
#endif
#endif
