/* SPDX-License-Identifier: MIT
 *
 * Call frame information: what is understood, what is not, and that real stacks come out right.
 */
#include "base/ensure.h"
#include "base/libc.h"
#include "base/pages.h"
#include "harness.h"
#include "profile/cfi.h"
#include "profile/unwind.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* --- bytes ----------------------------------------------------------------------------------- */

#define BASE UINT64_C(0x10000)
#define CODE UINT64_C(0x10100)

struct section {
    unsigned char data[512];
    size_t size;
};

static void put(struct section *section, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        section->data[section->size++] = (unsigned char)(value >> (8 * i));
}

static void put_bytes(struct section *section, const void *data, size_t size)
{
    memcpy(section->data + section->size, data, size);
    section->size += size;
}

/* A CIE with absolute addresses of eight bytes: version 1, "zR", 1, -8, 16, CFA = rsp + 8. */
static void put_cie(struct section *section, const char *letters, size_t augmentation)
{
    size_t start = section->size;
    put(section, 0, 4);
    put(section, 0, 4);
    put(section, 1, 1);
    put_bytes(section, letters, strlen(letters) + 1);
    put_bytes(section, "\x01\x78\x10", 3);
    put(section, augmentation, 1);
    for (size_t i = 0; i < augmentation; i++)
        put(section, 0, 1);
    put_bytes(section, "\x0c\x07\x08\x90\x01", 5);
    section->data[start] = (unsigned char)(section->size - start - 4);
}

static void put_fde(struct section *section, uint64_t begin, uint64_t size, const char *program,
                    size_t length)
{
    size_t start = section->size;
    put(section, 0, 4);
    put(section, section->size, 4); /* the CIE is at 0 */
    put(section, begin, 8);
    put(section, size, 8);
    put(section, 0, 1);
    put_bytes(section, program, length);
    section->data[start] = (unsigned char)(section->size - start - 4);
}

static struct cfi_rows read_section(const struct section *section)
{
    struct cfi_rows rows = {0};
    const struct cfi_section in = {section->data, section->size, 0x20000, BASE};
    cfi_read(&in, &rows);
    return rows;
}

static const struct cfi_row *row_at(const struct cfi_rows *rows, uint64_t address)
{
    const struct cfi_row *row = cfi_find(rows->all, rows->count, address - BASE);
    ck_assert_ptr_nonnull(row);
    return row;
}

START_TEST(follows_the_stack_pointer_through_a_function)
    {
        struct section section = {.size = 0};
        put_cie(&section, "zR", 1);
        /* +1: push rbp; +3: mov rbp, rsp; then leave */
        static const char program[] = "\x41\x0e\x10\x86\x02\x43\x0d\x06\x48\x0c\x07\x08\xc6";
        put_fde(&section, CODE, 0x20, program, sizeof program - 1);
        put(&section, 0, 4);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(rows.count, 5);
        const struct cfi_row *row = row_at(&rows, CODE);
        ck_assert(row->kind == CFI_SP && row->offset == 8 && row->fp_at == CFI_FP_SAME);
        row = row_at(&rows, CODE + 2);
        ck_assert(row->kind == CFI_SP && row->offset == 16 && row->fp_at == -16);
        row = row_at(&rows, CODE + 5);
        ck_assert(row->kind == CFI_FP && row->offset == 16 && row->fp_at == -16);
        row = row_at(&rows, CODE + 0x1f);
        ck_assert(row->kind == CFI_SP && row->offset == 8 && row->fp_at == CFI_FP_SAME);
        ck_assert_uint_eq(row_at(&rows, CODE + 0x20)->kind, CFI_UNKNOWN);
        ck_assert_ptr_null(cfi_find(rows.all, rows.count, CODE - BASE - 1));
        cfi_free(&rows);
    }
END_TEST

START_TEST(knows_the_expressions_of_linkers_and_of_realigned_stacks)
    {
        struct section section = {.size = 0};
        put_cie(&section, "zR", 1);
        static const char plt[] = "\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x22\x44\x0f\x03"
                                  "\x76\x78\x06\x44\x0f\x02\x70\x08";
        put_fde(&section, CODE, 0x20, plt, sizeof plt - 1);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(row_at(&rows, CODE)->kind, CFI_PLT);
        ck_assert_uint_eq(row_at(&rows, CODE + 4)->kind, CFI_FP_DEREF);
        ck_assert_int_eq(row_at(&rows, CODE + 4)->offset, -8);
        ck_assert_uint_eq(row_at(&rows, CODE + 8)->kind, CFI_UNKNOWN);
        cfi_free(&rows);
    }
END_TEST

START_TEST(knows_where_a_thread_begins_and_the_frame_of_a_signal)
    {
        struct section section = {.size = 0};
        put_cie(&section, "zRS", 1);
        put_fde(&section, CODE, 0x10, "", 0);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(row_at(&rows, CODE)->kind, CFI_SIGNAL);
        cfi_free(&rows);
        section.size = 0;
        put_cie(&section, "zR", 1);
        put_fde(&section, CODE, 0x10, "\x07\x10", 2);
        rows = read_section(&section);
        ck_assert_uint_eq(row_at(&rows, CODE)->kind, CFI_END);
        cfi_free(&rows);
    }
END_TEST

START_TEST(says_unknown_from_where_a_program_makes_no_sense)
    {
        struct section section = {.size = 0};
        put_cie(&section, "zR", 1);
        put_fde(&section, CODE, 0x10, "\x44\x3f\x44\x0e\x20", 5);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(row_at(&rows, CODE)->kind, CFI_SP);
        ck_assert_uint_eq(row_at(&rows, CODE + 4)->kind, CFI_UNKNOWN);
        cfi_free(&rows);
    }
END_TEST

/* A function of 0x20 bytes with this program, and the row of its last byte. */
static struct cfi_row row_after(const char *program, size_t size)
{
    struct section section = {.size = 0};
    put_cie(&section, "zR", 1);
    put_fde(&section, CODE, 0x20, program, size);
    struct cfi_rows rows = read_section(&section);
    struct cfi_row row = *row_at(&rows, CODE + 0x1f);
    cfi_free(&rows);
    return row;
}

static const struct program_case {
    const char *program;
    size_t size;
    enum cfi_kind kind;
    int32_t offset, fp_at;
} programs[] = {
#define PROGRAM(literal) literal, sizeof(literal) - 1
    {PROGRAM("\x12\x07\x7e"), CFI_SP, 16, CFI_FP_SAME}, /* def_cfa_sf */
    {PROGRAM("\x13\x7d"), CFI_SP, 24, CFI_FP_SAME},     /* def_cfa_offset_sf */
    {PROGRAM("\x05\x06\x02"), CFI_SP, 8, -16},          /* offset_extended */
    {PROGRAM("\x11\x06\x02"), CFI_SP, 8, -16},          /* ..._sf */
    {PROGRAM("\x2f\x06\x02"), CFI_SP, 8, 16},           /* GNU_negative_... */
    {PROGRAM("\x2f\x06\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), CFI_SP, 8, 0},
    {PROGRAM("\x86\x02\x06\x06"), CFI_SP, 8, CFI_FP_SAME},     /* restore_extended */
    {PROGRAM("\x86\x02\x08\x06"), CFI_SP, 8, CFI_FP_SAME},     /* same_value */
    {PROGRAM("\x86\x02\x08\x07\xc3"), CFI_SP, 8, -16},         /* of another register */
    {PROGRAM("\x09\x06\x03\x08\x06"), CFI_SP, 8, CFI_FP_SAME}, /* in a register, and back */
    {PROGRAM("\x09\x06\x03"), CFI_SP, 8, CFI_FP_SAME},         /* and where, nobody knows */
    {PROGRAM("\x07\x10\xd0"), CFI_SP, 8, CFI_FP_SAME},         /* the return address: too */
    {PROGRAM("\x09\x10\x03\x90\x01"), CFI_SP, 8, CFI_FP_SAME}, /* it is lost and saved */
    {PROGRAM("\x04\x04\x00\x00\x00\x0e\x20"), CFI_SP, 32, CFI_FP_SAME}, /* advance_loc4 */
    {PROGRAM("\x0e\x18\x40\x0e\x20"), CFI_SP, 32, CFI_FP_SAME},         /* advance_loc, by 0 */
    {PROGRAM("\x2e\x08\x00"), CFI_SP, 8, CFI_FP_SAME},                  /* GNU_args_size, nop */
    {PROGRAM("\x0b"), CFI_SP, 8, CFI_FP_SAME},                          /* nothing to recall */
    {PROGRAM("\x01\x10\x01\x01\x00\x00\x00\x00\x00\x0e\x20"), CFI_SP, 32,
     CFI_FP_SAME}, /* set_loc */
    {PROGRAM("\x01\x00\x01\x01\x00\x00\x00\x00\x00\x0e\x20"), CFI_SP, 32, CFI_FP_SAME}, /* here */
    {PROGRAM("\x01\x00\x02\x01\x00\x00\x00\x00\x00\x0e\x20"), CFI_SP, 32,
     CFI_FP_SAME}, /* too far */
    {PROGRAM("\x0f\x0b\x77\x08\x80\x00\x3f\x1a\x3b\x2a\x33\x24\x23"), CFI_UNKNOWN, 0,
     0},                                                  /* no PLT */
    {PROGRAM("\x0f\x03\x76\x78\x07"), CFI_UNKNOWN, 0, 0}, /* breg6, but no deref */
    {PROGRAM("\x0f\x04\x76\x78\x06\x06"), CFI_UNKNOWN, 0, 0},
    {PROGRAM("\x0f\x03\x76\x80\x86"), CFI_UNKNOWN, 0, 0},
    {PROGRAM("\x0f\x03\x76\x80\x06"), CFI_UNKNOWN, 0, 0},
    {PROGRAM("\x0f\x09\x76"), CFI_UNKNOWN, 0, 0},             /* cut */
    {PROGRAM("\x0e\x80\x80\x80\x80\x10"), CFI_UNKNOWN, 0, 0}, /* what no row can hold */
    {PROGRAM("\x13\x80\x80\x80\x80\x08"), CFI_UNKNOWN, 0, 0},
    {PROGRAM("\x0d\x03"), CFI_UNKNOWN, 0, 0}, /* a CFA in another register */
    {PROGRAM("\x90\x02"), CFI_UNKNOWN, 0, 0}, /* the return address elsewhere */
};

START_TEST(understands_each_operation)
    {
        for (size_t i = 0; i < COUNT_OF(programs); i++) {
            const struct program_case *c = &programs[i];
            struct cfi_row row = row_after(c->program, c->size);
            ck_assert_msg(row.kind == c->kind, "%zu: %d", i, row.kind);
            if (c->kind != CFI_UNKNOWN)
                ck_assert_msg(row.offset == c->offset && row.fp_at == c->fp_at, "%zu: %d %d", i,
                              row.offset, row.fp_at);
        }
        struct cfi_row row = row_after(PROGRAM("\x86\x80\x80\x80\x80\x08"));
        ck_assert(row.kind == CFI_SP && row.fp_at == CFI_FP_SAME); /* where, no row can say */
    }
END_TEST

START_TEST(remembers_so_many_states_and_no_more)
    {
        char program[64];
        memset(program, 0x0a, 20);
        memset(program + 20, 0x0b, 20);
        struct cfi_row row = row_after(program, 40);
        ck_assert(row.kind == CFI_SP && row.offset == 8);
    }
END_TEST

START_TEST(ends_a_row_where_the_function_ends)
    {
        static const char *const beyond[] = {"\x42\x42\x42\x0e\x20", "\x02\xff\x42\x42\x0e\x20"};
        for (size_t i = 0; i < COUNT_OF(beyond); i++) {
            struct section section = {.size = 0};
            put_cie(&section, "zR", 1);
            put_fde(&section, CODE, 6, beyond[i], strlen(beyond[i]));
            struct cfi_rows rows = read_section(&section);
            ck_assert_int_eq(row_at(&rows, CODE + 5)->offset, 8);
            ck_assert_uint_eq(row_at(&rows, CODE + 6)->kind, CFI_UNKNOWN);
            cfi_free(&rows);
        }
    }
END_TEST

START_TEST(knows_a_function_that_begins_where_another_one_ends)
    {
        struct section section = {.size = 0};
        put_cie(&section, "zR", 1);
        put_fde(&section, CODE, 0x20, "", 0);
        put_fde(&section, CODE + 0x20, 0x20, "", 0);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(row_at(&rows, CODE + 0x1f)->kind, CFI_SP);
        ck_assert_uint_eq(row_at(&rows, CODE + 0x20)->kind, CFI_SP);
        ck_assert_uint_eq(row_at(&rows, CODE + 0x3f)->kind, CFI_SP);
        ck_assert_uint_eq(row_at(&rows, CODE + 0x40)->kind, CFI_UNKNOWN);
        cfi_free(&rows);
    }
END_TEST

/* A CIE given byte by byte, one function below it; how many rows there are. */
static size_t rows_below(const void *cie, size_t cie_size, uint64_t begin, uint64_t size)
{
    struct section section = {.size = 0};
    put(&section, cie_size, 4);
    put_bytes(&section, cie, cie_size);
    put_fde(&section, begin, size, "\x00\x00", 2);
    struct cfi_rows rows = read_section(&section);
    size_t count = rows.count;
    cfi_free(&rows);
    return count;
}

#define ROWS_BELOW(literal) rows_below(literal, sizeof(literal) - 1, CODE, 0x20)
#define RULES "\x0c\x07\x08\x90\x01"

START_TEST(reads_the_heads_there_are_and_no_others)
    {
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01zR\0\x01\x78\x10\x01\x00" RULES), 2);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x03zR\0\x01\x78\x10\x01\x00" RULES), 2);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01\0\x01\x78\x10" RULES), 2);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01zX\0\x01\x78\x10\x01\x00" RULES), 2);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01zR\0\x00\x78\x10\x01\x00\x44" RULES), 2);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x02zR\0\x01\x78\x10\x01\x00" RULES), 0);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01zR\0\x01\x78\x0f\x01\x00" RULES), 0);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01"
                                     "eh\0\x01\x78\x10" RULES),
                          0);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01zPR\0\x01\x78\x10\x01\x00" RULES), 0);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0\x01zR"), 0);
        ck_assert_uint_eq(ROWS_BELOW("\0\0\0\0"), 0);
        ck_assert_uint_eq(ROWS_BELOW("\1\0\0\0\x01zR\0\x01\x78\x10\x01\x00" RULES), 0);
        ck_assert_uint_eq(ROWS_BELOW("\0\0"), 0);
    }
END_TEST

START_TEST(knows_no_function_that_lies_where_no_row_can)
    {
        static const char cie[] = "\0\0\0\0\x01zR\0\x01\x78\x10\x01\x00" RULES;
        static const struct {
            uint64_t begin, size;
        } cases[] = {{CODE, 0},
                     {BASE - 1, 0x20},
                     {BASE + UINT64_C(0x100000000), 0x20},
                     {BASE + UINT64_C(0xfffffff0), 0x20}};
        for (size_t i = 0; i < COUNT_OF(cases); i++)
            ck_assert_uint_eq(rows_below(cie, sizeof cie - 1, cases[i].begin, cases[i].size), 0);
    }
END_TEST

START_TEST(reads_entries_whose_size_takes_64_bits)
    {
        struct section section = {.size = 0};
        put(&section, UINT32_MAX, 4);
        put(&section, 21 + 4, 8);
        put(&section, 0, 8);
        put_bytes(&section, "\x01zR\0\x01\x78\x10\x01\x00" RULES, 9 + 5);
        put_bytes(&section, "\0\0\0", 3);
        put(&section, UINT32_MAX, 4);
        put(&section, 8 + 16 + 1, 8);
        put(&section, section.size, 8); /* back to the CIE */
        put(&section, CODE, 8);
        put(&section, 0x20, 8);
        put(&section, 0, 1);
        put(&section, 0, 4);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(rows.count, 2);
        cfi_free(&rows);
    }
END_TEST

START_TEST(passes_over_an_entry_whose_head_is_nowhere)
    {
        struct section section = {.size = 0};
        put(&section, 4, 4);
        put(&section, 99, 4); /* before the section */
        put(&section, 2, 4);
        put(&section, 0, 2); /* no room for an id */
        put_cie(&section, "zR", 1);
        struct cfi_rows rows = read_section(&section);
        ck_assert_uint_eq(rows.count, 0);
        cfi_free(&rows);
        section.size = 0;
        put_cie(&section, "zR", 1);
        put(&section, 12, 4); /* a function that ends within its address */
        put(&section, section.size, 4);
        put(&section, CODE, 8);
        rows = read_section(&section);
        ck_assert_uint_eq(rows.count, 0);
        cfi_free(&rows);
    }
END_TEST

START_TEST(fails_for_more_rows_than_there_may_be)
    {
        struct section section = {.size = 0};
        put_cie(&section, "zR", 1);
        put_fde(&section, CODE, 0x20, "\x41\x0e\x10\x41\x0e\x18", 6);
        put_fde(&section, CODE + 0x20, 0x20, "", 0);
        size_t size = CFI_ROWS_MAX * sizeof(struct cfi_row);
        struct cfi_rows rows = {
            .all = pages_resize(NULL, 0, size), .count = CFI_ROWS_MAX, .capacity = CFI_ROWS_MAX};
        ck_assert_ptr_nonnull(rows.all);
        cfi_read(&(struct cfi_section){section.data, section.size, 0x20000, BASE}, &rows);
        ck_assert(rows.failed);
        cfi_free(&rows);
    }
END_TEST

START_TEST(never_reads_beyond_the_end)
    {
        struct section whole = {.size = 0};
        put_cie(&whole, "zPLR", 11);
        put_fde(&whole, CODE, 0x20, "\x41\x0e\x10\x86\x02\x43\x0d\x06", 8);
        for (size_t size = 0; size <= whole.size; size++) { /* an exact copy, for the sanitizer */
            unsigned char *copy = malloc(size > 0 ? size : 1);
            ck_assert_ptr_nonnull(copy);
            memcpy(copy, whole.data, size);
            struct cfi_rows rows = {0};
            cfi_read(&(struct cfi_section){copy, size, 0x20000, BASE}, &rows);
            cfi_free(&rows);
            free(copy);
        }
    }
END_TEST

/* --- real stacks ----------------------------------------------------------------------------- */

static struct modules *modules;
static uintptr_t seen[128], expected[128];
static size_t seen_count, expected_count;

/* The handler's own frames, and the one of the signal, are what backtrace has more. */
static void on_signal(int signo, siginfo_t *info, void *context)
{
    (void)signo, (void)info;
    int error = errno;
    bool lost = false;
    void *frames[128];
    seen_count = unwind(atomic_load(&modules->view), context, seen, COUNT_OF(seen), &lost);
    ck_assert(!lost);
    int count = backtrace(frames, 128), at = 0;
    while (at < count && (uintptr_t)frames[at] != seen[0])
        at++;
    for (expected_count = 0; at < count; at++)
        expected[expected_count++] = (uintptr_t)frames[at];
    errno = error;
}

__attribute__((noinline)) static int descend(int depth)
{
    volatile int rest = depth;
    if (depth == 0)
        return raise(SIGUSR1);
    return descend(depth - 1) + rest - depth;
}

static int compare(const void *a, const void *b)
{
    (void)a, (void)b;
    return descend(3);
}

/* The last byte of the call, where glibc has the place behind it; but where a signal has
 * interrupted. */
static void expect_what_glibc_finds(unsigned interrupted)
{
    ck_assert_uint_gt(seen_count, 8);
    ck_assert_uint_eq(seen_count, expected_count);
    for (size_t i = 0; i < seen_count; i++) {
        interrupted -= seen[i] == expected[i];
        ck_assert(seen[i] == expected[i] || seen[i] == expected[i] - 1);
    }
    ck_assert_uint_eq(interrupted, 0);
}

static void begin(void)
{
    const struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    void *warm[2];
    (void)backtrace(warm, 2);
    ck_assert_int_eq(modules_new(&modules), 0);
    ck_assert_int_eq(modules_refresh(modules, NULL), 0);
    ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
}

START_TEST(finds_the_frames_that_glibc_finds)
    {
        begin();
        ck_assert_int_eq(descend(5), 0);
        expect_what_glibc_finds(1);
        int numbers[2] = {2, 1};
        qsort(numbers, 2, sizeof numbers[0], compare); /* through the C library */
        expect_what_glibc_finds(1);
        modules_free(modules);
    }
END_TEST

static void on_outer(int signo)
{
    (void)signo;
    ck_assert_int_eq(descend(1), 0);
}

START_TEST(goes_through_the_handler_of_another_signal)
    {
        begin();
        ck_assert(signal(SIGUSR2, on_outer) != SIG_ERR);
        ck_assert_int_eq(raise(SIGUSR2), 0);
        expect_what_glibc_finds(2);
        modules_free(modules);
    }
END_TEST

START_TEST(stops_at_a_stack_that_is_none)
    {
        begin();
        static ucontext_t context; /* of nobody: registers that lead nowhere */
        uintptr_t frames[16];
        bool lost = false;
        for (unsigned i = 0; i < 64; i++) {
            memset(&context, 0, sizeof context);
#ifdef __x86_64__
            context.uc_mcontext.gregs[REG_RIP] = (greg_t)(uintptr_t)&descend + (greg_t)i;
            context.uc_mcontext.gregs[REG_RSP] = i % 3 == 0 ? 0 : (greg_t)(0x1000 * i + 8 * i);
            context.uc_mcontext.gregs[REG_RBP] = i % 2 == 0 ? -8 : (greg_t)(0xdead0000 + 8 * i);
#endif
            size_t count = unwind(atomic_load(&modules->view), &context, frames, 16, &lost);
            ck_assert_uint_le(count, 2);
        }
        modules_free(modules);
    }
END_TEST

START_TEST(sees_code_that_is_loaded_later)
    {
        begin();
        void *page = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        ck_assert_ptr_ne(page, MAP_FAILED);
        ck_assert_ptr_null(view_find(atomic_load(&modules->view), (uintptr_t)page + 1));
        ck_assert_int_eq(modules_refresh(modules, NULL), 0);
        const struct code *code = view_find(atomic_load(&modules->view), (uintptr_t)page + 1);
        ck_assert_ptr_nonnull(code);
        ck_assert_ptr_null(code->module);
        ck_assert_int_eq(munmap(page, 4096), 0);
        const void *before = atomic_load(&modules->view);
        ck_assert_int_eq(modules_refresh(modules, NULL), 0);
        ck_assert_ptr_ne(before, atomic_load(&modules->view));
        before = atomic_load(&modules->view);
        ck_assert_int_eq(modules_refresh(modules, NULL), 0); /* nothing has changed */
        ck_assert_ptr_eq(before, atomic_load(&modules->view));
        modules_free(modules);
    }
END_TEST

/* Its handlers are called by the sanitizer, from some other place. */
#ifdef __SANITIZE_THREAD__
#define CALLED_BY_THE_KERNEL 0
#else
#define CALLED_BY_THE_KERNEL 1
#endif

int main(void)
{
    if (!CALLED_BY_THE_KERNEL)
        return HARNESS(
            "cfi", follows_the_stack_pointer_through_a_function,
            knows_the_expressions_of_linkers_and_of_realigned_stacks,
            knows_where_a_thread_begins_and_the_frame_of_a_signal,
            says_unknown_from_where_a_program_makes_no_sense, understands_each_operation,
            remembers_so_many_states_and_no_more, ends_a_row_where_the_function_ends,
            knows_a_function_that_begins_where_another_one_ends,
            reads_the_heads_there_are_and_no_others, knows_no_function_that_lies_where_no_row_can,
            reads_entries_whose_size_takes_64_bits, passes_over_an_entry_whose_head_is_nowhere,
            fails_for_more_rows_than_there_may_be, never_reads_beyond_the_end,
            stops_at_a_stack_that_is_none, sees_code_that_is_loaded_later);
    return HARNESS(
        "cfi", follows_the_stack_pointer_through_a_function,
        knows_the_expressions_of_linkers_and_of_realigned_stacks,
        knows_where_a_thread_begins_and_the_frame_of_a_signal,
        says_unknown_from_where_a_program_makes_no_sense, understands_each_operation,
        remembers_so_many_states_and_no_more, ends_a_row_where_the_function_ends,
        knows_a_function_that_begins_where_another_one_ends,
        reads_the_heads_there_are_and_no_others, knows_no_function_that_lies_where_no_row_can,
        reads_entries_whose_size_takes_64_bits, passes_over_an_entry_whose_head_is_nowhere,
        fails_for_more_rows_than_there_may_be, never_reads_beyond_the_end,
        finds_the_frames_that_glibc_finds, goes_through_the_handler_of_another_signal,
        stops_at_a_stack_that_is_none, sees_code_that_is_loaded_later);
}
