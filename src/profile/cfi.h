/* SPDX-License-Identifier: MIT
 *
 * Call frame information, the .eh_frame of a module, made into rows that a signal handler can use:
 * from this address on, the frame of the caller is found so. Only what finds a return address on
 * x86-64 is kept: the canonical frame address (CFA) and where the caller's frame pointer is. The
 * bytes come from a file that anybody may have written: no read leaves them. PURE.
 */
#ifndef PROFILE_CFI_H
#define PROFILE_CFI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Elsewhere code is compiled with frame pointers as a rule, and they are followed. */
#ifdef __x86_64__
#define CFI_HERE true
#else
#define CFI_HERE false
#endif

enum cfi_kind {
    CFI_UNKNOWN,  /* nothing is known here */
    CFI_END,      /* nobody has called this function: the start of a thread */
    CFI_SP,       /* CFA = stack pointer + offset */
    CFI_FP,       /* CFA = frame pointer + offset */
    CFI_FP_DEREF, /* CFA = what lies at frame pointer + offset: of a realigned stack */
    CFI_PLT,      /* CFA = stack pointer + 8, or + 16 in the last bytes of an entry */
    CFI_SIGNAL    /* the frame that the kernel makes for a handler: all registers lie in it */
};

#define CFI_FP_SAME INT32_MIN /* the caller's frame pointer is the present one */

struct cfi_row {
    uint32_t at;    /* from the start of the module on */
    uint32_t kind;  /* enum cfi_kind */
    int32_t offset; /* of the CFA */
    int32_t fp_at;  /* the caller's frame pointer lies at CFA + this, or CFI_FP_SAME */
};

struct cfi_rows {
    struct cfi_row *all; /* by `at`; owned */
    size_t count, capacity;
    bool failed; /* out of memory, or too many */
};

#define CFI_ROWS_MAX ((size_t)4 << 20)

struct cfi_section {
    const unsigned char *data; /* .eh_frame, or what begins with it */
    size_t size;
    uint64_t address; /* where data[0] lies in the process */
    uint64_t base;    /* the start of the module, less than 4 GiB before all of its code */
};

/* Adds the rows of a section, in order. What cannot be understood becomes CFI_UNKNOWN. */
void cfi_read(const struct cfi_section *section, struct cfi_rows *out);

/* The row for an address, as its distance from the start of the module; NULL: none is known.
 * Async-signal-safe. */
const struct cfi_row *cfi_find(const struct cfi_row *rows, size_t count, uint64_t at);

void cfi_free(struct cfi_rows *rows);

#endif
