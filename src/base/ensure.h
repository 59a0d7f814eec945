/* SPDX-License-Identifier: MIT
 *
 * ENSURE(x) is for errors of the programmer only, and stays in every build: a broken invariant
 * ends the program where it broke, with the place and the expression.
 */
#ifndef BASE_ENSURE_H
#define BASE_ENSURE_H

#define ENSURE(condition)                                                                          \
    ((condition) ? (void)0 : ensure_failed(__FILE__, __LINE__, __func__, #condition))

_Noreturn void ensure_failed(const char *file, int line, const char *function,
                             const char *condition);

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

#endif
