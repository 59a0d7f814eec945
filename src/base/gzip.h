/* SPDX-License-Identifier: MIT
 *
 * gzip, by zlib, which is loaded when it is first asked for: a program that is never profiled never
 * maps it. Threads: any.
 */
#ifndef BASE_GZIP_H
#define BASE_GZIP_H

#include "base/buf.h"

/* Adds a whole gzip file with what `in` holds, packed in haste. false: zlib is not here, or there
 * is no memory; out is as it was. */
bool gzip_add(struct buf *out, const struct buf *in);

#endif
