/* SPDX-License-Identifier: MIT
 *
 * The name for an address, from the dynamic symbols of the module it lies in. Unlike dladdr this
 * takes no lock of the loader, which the very thread one asks about may hold (it is stuck in
 * dlopen, or in a look-up of a host name). Threads: any, while the module stays loaded.
 */
#ifndef BASE_SYMBOL_H
#define BASE_SYMBOL_H

#include <stddef.h>

/* Writes "function+0x1f" where an exported function covers the address, else "module+0x1234", else
 * the bare address. */
void symbol_describe(const void *address, char *out, size_t size);

#endif
