/* SPDX-License-Identifier: MIT
 *
 * Records as lines of key=value, as Go's slog.TextHandler writes them. PURE.
 */
#ifndef LOG_TEXT_H
#define LOG_TEXT_H

#include "log/out.h"
#include "log/record.h"

/* " key=value" for each. Cut when they do not fit: then those that did are there. */
void text_attrs(struct out *out, const struct srun_kv *kvs);

/* The whole line with its newline. When it does not fit it ends in truncated=true, out->cut is
 * set, and it is still one line. */
void text_record(struct out *out, const struct record *record);

#endif
