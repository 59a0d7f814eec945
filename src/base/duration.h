/* SPDX-License-Identifier: MIT
 *
 * Durations as Go writes them: "1h2m3.5s". PURE.
 */
#ifndef BASE_DURATION_H
#define BASE_DURATION_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_US INT64_C(1000)
#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S INT64_C(1000000000)

#define DURATION_TEXT_MAX 32

/* Go's time.ParseDuration. 0; -EINVAL (not a duration); -ERANGE (does not fit 64 bits). */
int duration_parse(const char *text, int64_t *out_ns);

/* Go's time.Duration.String: "1.5s", "2m0s", "0s", "-1µs". Writes a NUL-ended text, returns its
 * length. */
size_t duration_format(char out[DURATION_TEXT_MAX], int64_t ns);

#endif
