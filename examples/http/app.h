/* SPDX-License-Identifier: MIT
 *
 * The program: its parts. The server knows none of the others; routes.c finds them by its app.
 */
#ifndef APP_H
#define APP_H

#include "parts/store.h"
#include "parts/upstream.h"
#include "parts/web/request.h"
#include "parts/web/server.h"

struct app {
    struct store store;
    struct upstream upstream;
    struct server server;
};

extern const struct route routes[];

#endif
