/* SPDX-License-Identifier: MIT
 *
 * Bytes that are handed over as a descriptor: a memfd, sealed, so that nobody changes it while it
 * is read, or ever after. Threads: any.
 */
#ifndef UPGRADE_STATE_H
#define UPGRADE_STATE_H

#include <stddef.h>

/* A descriptor (close-on-exec) that holds a copy of the bytes, or a negative errno. */
int state_seal(const void *data, size_t size);

/* A copy of what it holds, by malloc, with a zero byte beyond its size for those who kept text.
 * 0; -EINVAL: it is no sealed state; -ENOMEM, -EIO. */
int state_read(int fd, void **data, size_t *size);

#endif
