/* SPDX-License-Identifier: MIT
 *
 * Values as Go's strconv and time read them, for flags, the file and the environment. All of the
 * text must be the value: no spaces around it. Never looks at the locale. PURE.
 *
 * All: 0; -EINVAL, not such a value; -ERANGE, it does not fit. *out is set only on success.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1 t T true TRUE True, 0 f F false FALSE False. */
int parse_bool(const char *text, bool *out);

/* Decimal, 0x, 0o or a leading 0, 0b; a _ may stand between digits. */
int parse_int(const char *text, int64_t *out);

int parse_double(const char *text, double *out);

/* A duration in whole milliseconds, rounded away from zero: a time that somebody asked for never
 * becomes none. */
int parse_duration_ms(const char *text, int64_t *out);

/* The shortest text that parse_double reads as the same value. */
#define PARSE_DOUBLE_TEXT_MAX 32
const char *parse_double_text(char out[PARSE_DOUBLE_TEXT_MAX], double value);

#endif
