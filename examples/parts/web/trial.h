/* SPDX-License-Identifier: MIT
 *
 * Routes to try a server with, under whatever path. A program that is not an example keeps the
 * first at most.
 */
#ifndef TRIAL_H
#define TRIAL_H

#include "request.h"

/* Who answers. JSON: name, version, pid, generation, uptime_ms. */
enum MHD_Result trial_who(struct request *request);

/* ?ms=N: after so many milliseconds, up to 60000. */
enum MHD_Result trial_slow(struct request *request);

/* ?mb=N: so many MiB in chunks, up to 1024. */
enum MHD_Result trial_stream(struct request *request);

#endif
