/* SPDX-License-Identifier: MIT
 *
 * What a fuzz target defines; replay.c and libFuzzer call it. It answers 0, and aborts on a fault.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
