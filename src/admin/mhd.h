/* SPDX-License-Identifier: MIT
 *
 * libmicrohttpd, loaded when the admin port needs it: a program without one never maps it, nor the
 * GnuTLS that it brings (51 maps, 3 MB resident of which 0.4 MB are private; 1 to 5 ms). Nobody
 * else names its functions. Threads: any.
 */
#ifndef ADMIN_MHD_H
#define ADMIN_MHD_H

#include <microhttpd.h>
#include <srun/error.h>

#define MHD_FUNCTIONS(each)                                                                        \
    each(start_daemon) each(stop_daemon) each(add_connection) each(get_connection_info)            \
        each(get_connection_values) each(lookup_connection_value)                                  \
            each(create_response_from_callback) each(create_response_from_buffer)                  \
                each(add_response_header) each(queue_response) each(destroy_response)

#define MHD_POINTER_(name) __typeof__ (&MHD_##name)(name);
struct mhd {
    MHD_FUNCTIONS(MHD_POINTER_)
};
#undef MHD_POINTER_

/* Loads it on the first call. NULL: it is not there, and why. Never unloaded: what the libraries
 * below it leave behind in a process was not made to be taken out. */
const struct mhd *mhd_load(srun_err *err);

#endif
