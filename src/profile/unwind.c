/* SPDX-License-Identifier: MIT */
#include "profile/unwind.h"

#include "base/peek.h"

#include <ucontext.h>

#define PAGE_SHIFT 12
#define FRAME_MAX ((uintptr_t)1 << 20) /* what a frame found by frame pointers may take */
#define ROW_MAX ((uintptr_t)8 << 20)   /* by a row: a stack of the usual size */

/* The memory of another function's frame is not the sanitizer's business. */
#define READS_STACKS                                                                               \
    __attribute__((no_sanitize("address", "undefined"), no_sanitize_thread, noinline))

struct walker {
    uintptr_t pc, sp, fp;
    uintptr_t readable; /* one more than the page that was found to be; 0: none was */
    bool after_signal;  /* pc is where it was interrupted, not where a call returns to */
};

/* The word there, aligned so that it lies within one page. */
READS_STACKS static bool load(struct walker *walker, uintptr_t at, uintptr_t *out)
{
    if (at % sizeof *out != 0)
        return false;
    uintptr_t page = (at >> PAGE_SHIFT) + 1;
    if (page != walker->readable) {
        if (!peek_readable(at))
            return false;
        walker->readable = page;
    }
    *out = *(const volatile uintptr_t *)at;
    return true;
}

#if defined __x86_64__
static void begin(struct walker *walker, const ucontext_t *context)
{
    const greg_t *registers = context->uc_mcontext.gregs;
    walker->pc = (uintptr_t)registers[REG_RIP];
    walker->sp = (uintptr_t)registers[REG_RSP];
    walker->fp = (uintptr_t)registers[REG_RBP];
}

/* The stack pointer stands at the ucontext that the kernel has saved. */
static bool by_signal_frame(struct walker *walker)
{
    const uintptr_t gregs = walker->sp + offsetof(ucontext_t, uc_mcontext.gregs);
    struct walker next = {.after_signal = true};
    if (!load(walker, gregs + REG_RIP * sizeof(greg_t), &next.pc) ||
        !load(walker, gregs + REG_RSP * sizeof(greg_t), &next.sp) ||
        !load(walker, gregs + REG_RBP * sizeof(greg_t), &next.fp))
        return false;
    *walker = next;
    return true;
}
#elif defined __aarch64__
static void begin(struct walker *walker, const ucontext_t *context)
{
    walker->pc = context->uc_mcontext.pc;
    walker->sp = context->uc_mcontext.sp;
    walker->fp = context->uc_mcontext.regs[29];
}

static bool by_signal_frame(struct walker *walker)
{
    (void)walker; /* no row asks for it */
    return false;
}
#else
static void begin(struct walker *walker, const ucontext_t *context)
{
    (void)context;
    *walker = (struct walker){0};
}

static bool by_signal_frame(struct walker *walker)
{
    (void)walker; /* no row asks for it */
    return false;
}
#endif

static bool by_frame_pointer(struct walker *walker)
{
    uintptr_t fp = walker->fp, caller, pc;
    if (fp < walker->sp || fp - walker->sp > FRAME_MAX || !load(walker, fp, &caller) ||
        !load(walker, fp + sizeof fp, &pc))
        return false;
    walker->pc = pc;
    walker->sp = fp + 2 * sizeof fp;
    walker->fp = caller;
    return true;
}

static bool find_cfa(struct walker *walker, const struct cfi_row *row, uintptr_t *out)
{
    uintptr_t offset = (uintptr_t)(intptr_t)row->offset;
    switch ((enum cfi_kind)row->kind) {
    case CFI_SP:
        *out = walker->sp + offset;
        return true;
    case CFI_FP:
        *out = walker->fp + offset;
        return true;
    case CFI_FP_DEREF:
        return load(walker, walker->fp + offset, out);
    case CFI_PLT: /* the entry pushes a word when it is nearly through */
        *out = walker->sp + ((walker->pc & 15) >= 11 ? 16 : 8);
        return true;
    default:
        return false;
    }
}

static bool by_row(struct walker *walker, const struct cfi_row *row)
{
    uintptr_t cfa, pc, fp = walker->fp;
    if (!find_cfa(walker, row, &cfa) || cfa <= walker->sp || cfa - walker->sp > ROW_MAX ||
        !load(walker, cfa - sizeof pc, &pc))
        return false;
    if (row->fp_at != CFI_FP_SAME && !load(walker, cfa + (uintptr_t)(intptr_t)row->fp_at, &fp))
        return false;
    walker->pc = pc;
    walker->sp = cfa;
    walker->fp = fp;
    return true;
}

static bool step(struct walker *walker, const struct module *module, uintptr_t pc)
{
    const struct cfi_row *row = NULL;
    if (module != NULL)
        row = cfi_find(module->rows.all, module->rows.count, pc - module->start);
    walker->after_signal = false;
    if (row == NULL || row->kind == CFI_UNKNOWN)
        return by_frame_pointer(walker);
    if (row->kind == CFI_SIGNAL)
        return by_signal_frame(walker);
    return row->kind != CFI_END && by_row(walker, row);
}

size_t unwind(const struct view *view, const void *context, uintptr_t *out, size_t max, bool *lost)
{
    struct walker walker = {.after_signal = true};
    size_t count = 0;
    begin(&walker, context);
    while (count < max && walker.pc != 0) {
        uintptr_t pc = walker.pc - !walker.after_signal;
        const struct code *code = view_find(view, pc);
        if (code == NULL) {
            *lost = true;
            if (count == 0)
                out[count++] = pc;
            break;
        }
        out[count++] = pc;
        if (!step(&walker, code->module, pc))
            break;
    }
    return count;
}

uintptr_t unwind_sp(const void *context)
{
    struct walker walker;
    begin(&walker, context);
    return walker.sp;
}
