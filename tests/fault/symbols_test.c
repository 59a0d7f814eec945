/* SPDX-License-Identifier: MIT
 *
 * The plugin that reads debug information, when the system refuses: names that cannot be had are
 * left out, and none is wrong.
 */
#include "scenario.h"

#include "profile/naming.h"

#include <elfutils/libdwelf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { LOOKED_UP = 48, FRAMES_MAX = 8 };

extern const struct naming_plugin srun_symbols_plugin;

struct looked {
    struct naming_file file;
    uint64_t outer;
    bool inlined, named, placed; /* what was found without a failure */
};

static uint64_t ask_specimen(void)
{
    char line[32] = "";
    FILE *pipe = popen(SPECIMEN, "re");
    ck_assert_ptr_nonnull(pipe);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, pipe));
    ck_assert_int_eq(pclose(pipe), 0);
    return strtoull(line, NULL, 16);
}

static struct looked open_specimen(const char *path)
{
    static unsigned char id[64];
    const void *found = NULL;
    struct looked looked = {.outer = ask_specimen()};
    (void)elf_version(EV_CURRENT);
    looked.file.fd = open(path, O_RDONLY | O_CLOEXEC);
    looked.file.path = path;
    Elf *elf = elf_begin(looked.file.fd, ELF_C_READ, NULL);
    ssize_t size = dwelf_elf_gnu_build_id(elf, &found);
    ck_assert(size > 0 && (size_t)size <= sizeof id);
    memcpy(id, found, (size_t)size);
    (void)elf_end(elf);
    looked.file.build_id = id;
    looked.file.build_id_size = (size_t)size;
    return looked;
}

/* Each name is one of those that are in the file. */
static void check_frame(struct looked *looked, const struct name *name, bool usual)
{
    bool inner = strcmp(name->function, "inner") == 0;
    bool placed = name->file != NULL && strstr(name->file, "specimen.c") != NULL && name->line > 0;
    SCENARIO_ASSERT(inner || strcmp(name->function, "outer") == 0 ||
                        (!usual && strcmp(name->function, "?") == 0),
                    "%s", name->function);
    SCENARIO_ASSERT(placed || name->file == NULL || strstr(name->file, "specimen.c") != NULL, "%s",
                    name->file);
    looked->inlined |= usual && inner;
    looked->named |= usual;
    looked->placed |= usual && placed;
}

static void look_up(void *arg)
{
    struct looked *looked = arg;
    struct name names[LOOKED_UP][FRAMES_MAX];
    size_t counts[LOOKED_UP] = {0};
    scenario_arm();
    void *module = srun_symbols_plugin.open(&looked->file);
    for (size_t i = 0; module != NULL && i < LOOKED_UP; i += 8)
        counts[i] = srun_symbols_plugin.find(module, looked->outer + i, names[i], FRAMES_MAX);
    if (module != NULL)
        (void)srun_symbols_plugin.find(module, UINT32_MAX, names[1], FRAMES_MAX);
    unsigned failed = scenario_disarm();
    SCENARIO_ASSERT(module != NULL || failed > 0, "there is no debug information");
    for (size_t i = 0; i < LOOKED_UP; i++)
        for (size_t k = 0; k < counts[i]; k++)
            check_frame(looked, &names[i][k], failed == 0);
    if (module != NULL)
        srun_symbols_plugin.close(module);
}

static void look_into(const char *path)
{
    struct looked looked = open_specimen(path);
    scenario_each(strrchr(path, '/') + 1, FAULT_SYSTEM, look_up, &looked);
    ck_assert(looked.inlined && looked.named && looked.placed);
    (void)close(looked.file.fd);
}

START_TEST(names_of_a_program_are_right_or_left_out)
    {
        look_into(SPECIMEN);
    }
END_TEST

START_TEST(names_of_a_file_beside_it_are_right_or_left_out)
    {
        look_into(SPECIMEN ".stripped");
    }
END_TEST

/* --- within libdw ---------------------------------------------------------------------------- */

/* Of the size of those that libdw cuts what it needs from. Without one it would end the program;
 * that the same lack leaves it without its hash tables, it does not notice. */
#define BLOCK 4000

static unsigned blocks, refused; /* how many were asked for; the one that there is not */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && !defined(__clang__)
void *__libc_malloc(size_t size);

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    return size >= BLOCK && ++blocks == refused ? NULL : __libc_malloc(size);
}
#endif

static void look_up_within(const struct looked *looked, unsigned refuse)
{
    struct name names[FRAMES_MAX];
    blocks = 0;
    refused = refuse;
    void *module = srun_symbols_plugin.open(&looked->file);
    for (size_t i = 0; module != NULL && i < LOOKED_UP; i += 8)
        (void)srun_symbols_plugin.find(module, looked->outer + i, names, FRAMES_MAX);
    if (module != NULL)
        srun_symbols_plugin.close(module);
    refused = 0;
}

static void lack_memory_within(const char *path)
{
    struct looked looked = open_specimen(path);
    look_up_within(&looked, 0);
    unsigned count = blocks;
    for (unsigned k = 1; k <= count; k++)
        look_up_within(&looked, k);
    printf("fault: %s: %u blocks within\n", strrchr(path, '/') + 1, count);
    (void)close(looked.file.fd);
}

START_TEST(a_lack_of_memory_in_libdw_does_not_end_the_program)
    {
        lack_memory_within(SPECIMEN);
        lack_memory_within(SPECIMEN ".stripped");
    }
END_TEST

/* The specimen, whose strings are said to take so many bytes. */
static int copy_specimen(uint64_t strings)
{
    static char bytes[1 << 20];
    int from = open(SPECIMEN, O_RDONLY | O_CLOEXEC), to = memfd_create("specimen", MFD_CLOEXEC);
    ssize_t size = read(from, bytes, sizeof bytes);
    ck_assert(size > 0 && (size_t)size < sizeof bytes);
    Elf64_Ehdr head;
    memcpy(&head, bytes, sizeof head);
    Elf64_Shdr section, names;
    memcpy(&names, bytes + head.e_shoff + (size_t)head.e_shstrndx * sizeof names, sizeof names);
    for (size_t i = 0; i < head.e_shnum; i++) {
        char *at = bytes + head.e_shoff + i * sizeof section;
        memcpy(&section, at, sizeof section);
        if (strcmp(bytes + names.sh_offset + section.sh_name, ".debug_str") != 0)
            continue;
        section.sh_size = strings;
        memcpy(at, &section, sizeof section);
    }
    ck_assert_int_eq(pwrite(to, bytes, (size_t)size, 0), size);
    ck_assert_int_eq(ftruncate(to, (off_t)(strings + (uint64_t)size)), 0);
    (void)close(from);
    return to;
}

START_TEST(more_debug_information_than_there_may_be_is_left_alone)
    {
        struct looked looked = open_specimen(SPECIMEN);
        (void)close(looked.file.fd);
        for (int i = 0; i < 2; i++) {
            looked.file.fd = copy_specimen((uint64_t)(i == 0 ? 1 : 257) << 20);
            void *module = srun_symbols_plugin.open(&looked.file);
            ck_assert((module != NULL) == (i == 0));
            if (module != NULL)
                srun_symbols_plugin.close(module);
            (void)close(looked.file.fd);
        }
    }
END_TEST

START_TEST(interrupts_do_not_matter)
    {
        struct looked looked = open_specimen(SPECIMEN);
        scenario_each("interrupted", FAULT_INTERRUPT, look_up, &looked);
        ck_assert(looked.inlined && looked.named && looked.placed);
        (void)close(looked.file.fd);
    }
END_TEST

int main(void)
{
    harness_limit_ms(120000);
    return HARNESS("fault.symbols", names_of_a_program_are_right_or_left_out,
                   names_of_a_file_beside_it_are_right_or_left_out,
                   a_lack_of_memory_in_libdw_does_not_end_the_program,
                   more_debug_information_than_there_may_be_is_left_alone,
                   interrupts_do_not_matter);
}
