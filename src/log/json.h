/* SPDX-License-Identifier: MIT
 *
 * Records as lines of JSON, in the shape of Go's slog.JSONHandler. PURE.
 */
#ifndef LOG_JSON_H
#define LOG_JSON_H

#include "log/out.h"
#include "log/record.h"

/* ,"key":value for each. Cut when they do not fit: then those that did are there. */
void json_attrs(struct out *out, const struct srun_kv *kvs);

/* The whole object and its newline. When it does not fit it ends in "truncated":true, out->cut is
 * set, and it is still one valid object on one line. */
void json_record(struct out *out, const struct record *record);

#endif
