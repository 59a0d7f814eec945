/* SPDX-License-Identifier: MIT
 *
 * What is answered to which request. Threads: the one of the connection; a handler may block.
 */
#ifndef ROUTES_H
#define ROUTES_H

#include <microhttpd.h>

/* Both have the shape that libmicrohttpd asks for; cls is the struct server. */
enum MHD_Result routes_on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state);
void routes_on_completed(void *cls, struct MHD_Connection *connection, void **state,
                         enum MHD_RequestTerminationCode why);

#endif
