/* SPDX-License-Identifier: MIT
 *
 * Records as entries of the journal, in its native protocol: a field is "NAME=value\n", or, when
 * the value holds a control byte, "NAME\n", its size as 64 bits in little endian, value, "\n".
 * PURE.
 *
 * A key becomes a name in upper case; what is not A-Z, 0-9 or _ becomes _. Names have at most 64
 * bytes and begin with a letter. One that would not, and one that the journal or the record itself
 * gives a meaning to (PRIORITY, CODE_FILE, ...), gets X_ before it: no value can forge those.
 */
#ifndef LOG_ENTRY_H
#define LOG_ENTRY_H

#include "log/out.h"
#include "log/record.h"

struct journal_entry {
    const struct record *record;      /* of it: level, message, lost, kvs */
    const char *identifier;           /* of the program */
    const struct srun_source *source; /* NULL: not known */
    const char *trace_id, *span_id;   /* NULL: none */
    const char *scope;                /* of the logger; NULL: none */
    const struct srun_kv *own;        /* the logger's; not NULL */
};

/* All of it. When it does not fit, the message is cut, or what follows it is left out, and the
 * entry ends in TRUNCATED=true; out->cut is set, and it is still a whole entry. */
void entry_encode(struct out *out, const struct journal_entry *entry);

#endif
