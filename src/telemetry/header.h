/* SPDX-License-Identifier: MIT
 *
 * Fields that a program adds to each request: which are good, and the list in the environment:
 * "api-key=secret,tenant=a%20b". PURE.
 */
#ifndef TELEMETRY_HEADER_H
#define TELEMETRY_HEADER_H

#include "base/text.h"

/* NULL, or why this field cannot be sent. */
const char *header_refused(const char *name, const char *value);

/* Adds name, value, ... to out; values are percent-decoded. What is no pair, or refused, is left
 * out and counted in *bad. 0 or -ENOMEM. */
int header_list(const char *text, struct text_list *out, unsigned *bad);

#endif
