/* SPDX-License-Identifier: MIT
 *
 * Takes secrets out of what is shown: values whose name says that they are one, and what looks like
 * one within any text. Rather too much than too little. PURE.
 */
#ifndef ADMIN_REDACT_H
#define ADMIN_REDACT_H

#include <stdbool.h>
#include <stddef.h>

/* Does the name hold pass, secret, token, key, cred, dsn or auth, in any case? */
bool redact_is_secret(const char *name);

/* The text, cut to fit, with three stars in place of
 *
 *     who may enter:  postgres://user:hunter2@db/x   user:hunter2@tcp(db)/x
 *     what is named:  host=db password=hunter2   {"token": "hunter2"}   --api-key hunter2
 *                     Authorization: Bearer hunter2
 *
 * out and text do not overlap; size is at least 1. Returns out. */
char *redact_text(char *out, size_t size, const char *text);

/* The value of a setting of this name: "" stays; three stars when it is secret; else as
 * redact_text. */
char *redact_value(char *out, size_t size, const char *name, const char *value);

#endif
