/* SPDX-License-Identifier: MIT
 *
 * DWARF 4, section 6.4, in the form of the Linux Standard Base (augmentations that begin with z).
 * Each description (FDE) of a function refers to one that many share (CIE); both hold a program
 * that makes a table row by row, which is run here once for all addresses.
 */
#include "profile/cfi.h"

#include "base/pages.h"
#include "base/sort.h"
#include "profile/cursor.h"

#include <stdlib.h>
#include <string.h>

#define SAVED_MAX 8 /* remembered states within a program */

enum { REGISTER_FP = 6, REGISTER_SP = 7, REGISTER_RETURN = 16 };

struct state {
    uint32_t kind;
    uint64_t cfa_register;
    int64_t offset;
    int64_t fp_at; /* CFI_FP_SAME, or from the CFA on */
    bool fp_lost;  /* saved in a way we do not know */
    bool return_ended, return_lost;
};

struct cie {
    uint64_t code_align;
    int64_t data_align;
    unsigned char pointer_encoding;
    bool is_signal, augmented, good;
    struct cursor program;
};

/* --- rows ------------------------------------------------------------------------------------ */

static bool fits(int64_t value)
{
    return value > INT32_MIN && value <= INT32_MAX;
}

static struct cfi_row row_of(const struct cie *cie, const struct state *state, uint32_t at)
{
    struct cfi_row row = {.at = at, .kind = state->kind, .fp_at = CFI_FP_SAME};
    if (cie->is_signal) {
        row.kind = CFI_SIGNAL;
        return row;
    }
    if (state->return_ended) {
        row.kind = CFI_END;
        return row;
    }
    if (state->return_lost || !fits(state->offset)) {
        row.kind = CFI_UNKNOWN;
        return row;
    }
    row.offset = (int32_t)state->offset;
    if (!state->fp_lost && fits(state->fp_at))
        row.fp_at = (int32_t)state->fp_at;
    return row;
}

static void add(struct cfi_rows *out, struct cfi_row row)
{
    if (out->count == out->capacity && !out->failed) {
        size_t capacity = out->capacity > 0 ? out->capacity * 2 : 1024;
        void *grown = capacity <= CFI_ROWS_MAX ? pages_resize(out->all, out->capacity * sizeof row,
                                                              capacity * sizeof row)
                                               : NULL;
        out->failed = grown == NULL;
        if (grown != NULL) {
            out->all = grown;
            out->capacity = capacity;
        }
    }
    if (!out->failed)
        out->all[out->count++] = row;
}

/* A row that begins where the one before does takes its place. */
static void put(struct cfi_rows *out, size_t first, struct cfi_row row)
{
    if (out->count > first && out->all[out->count - 1].at == row.at)
        out->all[out->count - 1] = row;
    else
        add(out, row);
}

/* --- programs -------------------------------------------------------------------------------- */

struct machine {
    const struct cie *cie;
    struct state now, initial, saved[SAVED_MAX];
    unsigned depth;
    uint64_t location, end; /* in the process */
    struct cfi_rows *out;   /* NULL: of a CIE, which has no addresses */
    size_t first;           /* of this function */
    uint64_t base;
};

static void set_cfa(struct state *state, uint64_t number, int64_t offset)
{
    state->cfa_register = number;
    state->offset = offset;
    state->kind = number == REGISTER_SP ? CFI_SP : number == REGISTER_FP ? CFI_FP : CFI_UNKNOWN;
}

/* Two expressions are common: of the table of linked procedures (bytes that the linker writes), and
 * of functions that realign their stack, which keep the CFA below their frame pointer. */
static void set_cfa_expression(struct state *state, struct cursor expression)
{
    static const unsigned char plt[] = {0x77, 0x08, 0x80, 0x00, 0x3f, 0x1a,
                                        0x3b, 0x2a, 0x33, 0x24, 0x22};
    size_t size = expression.bad ? 0 : (size_t)(expression.end - expression.at);
    state->kind = CFI_UNKNOWN;
    state->offset = 0;
    if (size == sizeof plt && memcmp(expression.at, plt, size) == 0) {
        state->kind = CFI_PLT;
    } else if (size >= 3 && expression.at[0] == 0x76 && expression.end[-1] == 0x06) {
        (void)cursor_take(&expression, 1); /* DW_OP_breg6 N, DW_OP_deref */
        state->offset = cursor_sleb(&expression);
        if (expression.end - expression.at == 1)
            state->kind = CFI_FP_DEREF;
    }
}

static void save_at(struct state *state, uint64_t number, int64_t offset)
{
    if (number == REGISTER_FP) {
        state->fp_at = offset;
        state->fp_lost = false;
    } else if (number == REGISTER_RETURN) {
        state->return_lost = offset != -8;
        state->return_ended = false;
    }
}

static void lose(struct state *state, uint64_t number)
{
    state->fp_lost |= number == REGISTER_FP;
    state->return_lost |= number == REGISTER_RETURN;
}

static void undefine(struct state *state, uint64_t number)
{
    state->fp_lost |= number == REGISTER_FP;
    state->return_ended |= number == REGISTER_RETURN;
}

static void keep(struct state *state, uint64_t number)
{
    if (number == REGISTER_FP) {
        state->fp_at = CFI_FP_SAME;
        state->fp_lost = false;
    }
}

static void restore(struct machine *machine, uint64_t number)
{
    const struct state *initial = &machine->initial;
    if (number == REGISTER_FP) {
        machine->now.fp_at = initial->fp_at;
        machine->now.fp_lost = initial->fp_lost;
    } else if (number == REGISTER_RETURN) {
        machine->now.return_ended = initial->return_ended;
        machine->now.return_lost = initial->return_lost;
    }
}

static void advance(struct machine *machine, uint64_t delta)
{
    if (machine->out == NULL || machine->location >= machine->end)
        return;
    put(machine->out, machine->first,
        row_of(machine->cie, &machine->now, (uint32_t)(machine->location - machine->base)));
    uint64_t align = machine->cie->code_align, left = machine->end - machine->location;
    bool past = align != 0 && delta > left / align;
    machine->location = past ? machine->end : machine->location + delta * align;
}

static void set_location(struct machine *machine, uint64_t location)
{
    if (location > machine->location && location <= machine->end) {
        advance(machine, 0);
        machine->location = location;
    }
}

static int64_t scaled(const struct machine *machine, int64_t factor)
{
    return (int64_t)((uint64_t)factor * (uint64_t)machine->cie->data_align);
}

static void remember(struct machine *machine)
{
    if (machine->depth < SAVED_MAX)
        machine->saved[machine->depth] = machine->now;
    machine->depth++;
}

static void recall(struct machine *machine)
{
    if (machine->depth > 0 && --machine->depth < SAVED_MAX)
        machine->now = machine->saved[machine->depth];
}

/* The operations that set the CFA; false: it is none of them. */
static bool run_cfa(struct machine *machine, unsigned char code, struct cursor *in)
{
    struct state *now = &machine->now;
    uint64_t number;
    switch (code) {
    case 0x0c: /* DW_CFA_def_cfa */
        number = cursor_uleb(in);
        set_cfa(now, number, (int64_t)cursor_uleb(in));
        return true;
    case 0x12: /* def_cfa_sf */
        number = cursor_uleb(in);
        set_cfa(now, number, scaled(machine, cursor_sleb(in)));
        return true;
    case 0x0d: /* def_cfa_register */
        set_cfa(now, cursor_uleb(in), now->offset);
        return true;
    case 0x0e: /* def_cfa_offset */
        set_cfa(now, now->cfa_register, (int64_t)cursor_uleb(in));
        return true;
    case 0x13: /* def_cfa_offset_sf */
        set_cfa(now, now->cfa_register, scaled(machine, cursor_sleb(in)));
        return true;
    case 0x0f: /* def_cfa_expression */
        set_cfa_expression(now, cursor_part(in, cursor_uleb(in)));
        return true;
    default:
        return false;
    }
}

/* Those that say where a register of the caller is. */
static bool run_register(struct machine *machine, unsigned char code, struct cursor *in)
{
    struct state *now = &machine->now;
    uint64_t number;
    switch (code) {
    case 0x05: /* offset_extended */
        number = cursor_uleb(in);
        save_at(now, number, scaled(machine, (int64_t)cursor_uleb(in)));
        return true;
    case 0x11: /* offset_extended_sf */
        number = cursor_uleb(in);
        save_at(now, number, scaled(machine, cursor_sleb(in)));
        return true;
    case 0x2f: /* GNU_negative_offset_extended */
        number = cursor_uleb(in);
        save_at(now, number, scaled(machine, (int64_t)(0 - cursor_uleb(in))));
        return true;
    case 0x06: /* restore_extended */
        restore(machine, cursor_uleb(in));
        return true;
    case 0x07:
        undefine(now, cursor_uleb(in));
        return true;
    case 0x08: /* same_value */
        keep(now, cursor_uleb(in));
        return true;
    case 0x09: /* register */
    case 0x14: /* val_offset, val_offset_sf */
    case 0x15:
        number = cursor_uleb(in);
        (void)cursor_uleb(in);
        lose(now, number);
        return true;
    case 0x10: /* expression, val_expression */
    case 0x16:
        number = cursor_uleb(in);
        (void)cursor_part(in, cursor_uleb(in));
        lose(now, number);
        return true;
    default:
        return false;
    }
}

static void run_rest(struct machine *machine, unsigned char code, struct cursor *in)
{
    switch (code) {
    case 0x00: /* nop */
        return;
    case 0x01: /* set_loc */
        set_location(machine, cursor_pointer(in, machine->cie->pointer_encoding));
        return;
    case 0x02: /* advance_loc1, 2, 4 */
        advance(machine, cursor_take(in, 1));
        return;
    case 0x03:
        advance(machine, cursor_take(in, 2));
        return;
    case 0x04:
        advance(machine, cursor_take(in, 4));
        return;
    case 0x0a:
        remember(machine);
        return;
    case 0x0b:
        recall(machine);
        return;
    case 0x2e: /* GNU_args_size */
        (void)cursor_uleb(in);
        return;
    default:
        in->bad = true;
    }
}

static void run(struct machine *machine, struct cursor program)
{
    while (!program.bad && program.at < program.end) {
        unsigned char code = (unsigned char)cursor_take(&program, 1), low = code & 0x3f;
        if ((code & 0xc0) == 0x40)
            advance(machine, low);
        else if ((code & 0xc0) == 0x80)
            save_at(&machine->now, low, scaled(machine, (int64_t)cursor_uleb(&program)));
        else if ((code & 0xc0) == 0xc0)
            restore(machine, low);
        else if (!run_cfa(machine, code, &program) && !run_register(machine, code, &program))
            run_rest(machine, code, &program);
    }
    if (program.bad) /* from here on nothing is sure */
        machine->now.return_lost = true;
}

/* --- entries --------------------------------------------------------------------------------- */

/* zR, zPLR, zRS, ...; eh and the like, which nobody has written for decades, are not understood. */
static void read_augmentation(struct cursor *in, const char *letters, struct cie *cie)
{
    if (letters[0] == '\0')
        return;
    if (letters[0] != 'z') {
        in->bad = true;
        return;
    }
    cie->augmented = true;
    struct cursor data = cursor_part(in, cursor_uleb(in));
    for (letters++; *letters != '\0' && !data.bad; letters++) {
        if (*letters == 'R') {
            cie->pointer_encoding = (unsigned char)cursor_take(&data, 1);
        } else if (*letters == 'P') {
            unsigned char encoding =
                (unsigned char)cursor_take(&data, 1) & (unsigned char)~POINTER_INDIRECT;
            (void)cursor_pointer(&data, encoding);
        } else if (*letters == 'L') {
            (void)cursor_take(&data, 1);
        } else if (*letters == 'S') {
            cie->is_signal = true;
        } else {
            break; /* what is behind it concerns us no more than it does */
        }
    }
    in->bad |= data.bad;
}

/* `in` stands behind the id. */
static struct cie read_cie(struct cursor in)
{
    struct cie cie = {0};
    unsigned version = (unsigned)cursor_take(&in, 1);
    const char *letters = (const char *)in.at;
    const void *end = in.bad ? NULL : memchr(in.at, '\0', (size_t)(in.end - in.at));
    if (end == NULL || (version != 1 && version != 3))
        return cie;
    cursor_skip(&in, (uint64_t)((const unsigned char *)end - in.at) + 1);
    cie.code_align = cursor_uleb(&in);
    cie.data_align = cursor_sleb(&in);
    uint64_t return_register = version == 1 ? cursor_take(&in, 1) : cursor_uleb(&in);
    read_augmentation(&in, letters, &cie);
    cie.program = in;
    cie.good = !in.bad && return_register == REGISTER_RETURN;
    return cie;
}

/* The length and the id that both kinds begin with; false at the end. The entry's cursor stands
 * behind the length. */
static bool next_entry(struct cursor *in, struct cursor *entry, unsigned *id_size)
{
    uint64_t size = cursor_take(in, 4);
    *id_size = 4;
    if (size == UINT32_MAX) {
        size = cursor_take(in, 8);
        *id_size = 8;
    }
    if (in->bad || size == 0)
        return false;
    *entry = cursor_part(in, size);
    return !entry->bad;
}

/* The CIE at a place in the section. */
static struct cie cie_at(const struct cfi_section *section, size_t at)
{
    struct cie none = {0};
    struct cursor in = {.at = section->data + at,
                        .end = section->data + section->size,
                        .address = section->address + at};
    struct cursor entry;
    unsigned id_size;
    if (!next_entry(&in, &entry, &id_size) || cursor_take(&entry, id_size) != 0)
        return none;
    return read_cie(entry);
}

/* `in` stands behind the id. */
static void read_fde(struct cursor in, const struct cie *cie, uint64_t base, struct cfi_rows *out)
{
    uint64_t begin = cursor_pointer(&in, cie->pointer_encoding);
    uint64_t size = cursor_pointer(&in, cie->pointer_encoding & POINTER_WIDTH);
    if (cie->augmented)
        (void)cursor_part(&in, cursor_uleb(&in));
    if (in.bad || size == 0 || begin < base || begin - base > UINT32_MAX ||
        size > UINT32_MAX - (begin - base))
        return;
    struct machine machine = {.cie = cie, .base = base};
    machine.now = (struct state){.fp_at = CFI_FP_SAME, .return_lost = true};
    run(&machine, cie->program);
    machine.initial = machine.now;
    machine.depth = 0;
    machine.location = begin;
    machine.end = begin + size;
    machine.out = out;
    machine.first = out->count;
    run(&machine, in);
    advance(&machine, 0);
    add(out, (struct cfi_row){.at = (uint32_t)(machine.end - base), .kind = CFI_UNKNOWN});
}

/* By address; what is known goes before what is not. */
static int by_address(const void *a, const void *b)
{
    const struct cfi_row *left = a, *right = b;
    if (left->at != right->at)
        return left->at < right->at ? -1 : 1;
    return (left->kind == CFI_UNKNOWN) - (right->kind == CFI_UNKNOWN);
}

/* Each address once, the first row of it, and no row that says what the one before it says. */
static void tidy(struct cfi_rows *out)
{
    size_t kept = 0;
    if (out->count == 0)
        return;
    if (!sort_runs(out->all, out->count, sizeof out->all[0], by_address)) {
        out->failed = true;
        out->count = 0;
        return;
    }
    uint32_t at = out->all[0].at; /* of the row before, whether it was kept or not */
    for (size_t i = 1; i < out->count; i++) {
        const struct cfi_row *row = &out->all[i], *last = &out->all[kept];
        bool again = row->at == at;
        at = row->at;
        if (again ||
            (row->kind == last->kind && row->offset == last->offset && row->fp_at == last->fp_at))
            continue;
        out->all[++kept] = *row;
    }
    out->count = kept + 1;
}

/* What was taken in advance. */
static void shrink(struct cfi_rows *out)
{
    void *shrunk =
        pages_resize(out->all, out->capacity * sizeof out->all[0], out->count * sizeof out->all[0]);
    if (shrunk == NULL)
        return;
    out->all = shrunk;
    out->capacity = out->count;
}

void cfi_read(const struct cfi_section *section, struct cfi_rows *out)
{
    struct cursor in = {
        .at = section->data, .end = section->data + section->size, .address = section->address};
    struct cursor entry;
    unsigned id_size;
    struct cie cie = {0};
    size_t known = SIZE_MAX; /* where that one is: the next FDE mostly shares it */
    while (!out->failed && next_entry(&in, &entry, &id_size)) {
        size_t id_at = (size_t)(entry.at - section->data);
        uint64_t distance = cursor_take(&entry, id_size); /* back to the CIE; 0: this is one */
        if (entry.bad || distance == 0 || distance > id_at)
            continue;
        if (known != id_at - distance) {
            known = id_at - (size_t)distance;
            cie = cie_at(section, known);
        }
        if (cie.good)
            read_fde(entry, &cie, section->base, out);
    }
    tidy(out);
    shrink(out);
}

const struct cfi_row *cfi_find(const struct cfi_row *rows, size_t count, uint64_t at)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (rows[middle].at <= at)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? &rows[low - 1] : NULL;
}

void cfi_free(struct cfi_rows *rows)
{
    pages_free(rows->all, rows->capacity * sizeof rows->all[0]);
    *rows = (struct cfi_rows){0};
}
