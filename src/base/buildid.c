/* SPDX-License-Identifier: MIT */
#include "base/buildid.h"

#include <elf.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>

#define PAGE_MASK (~(uintptr_t)4095)

const unsigned char *buildid_find(const unsigned char *notes, size_t size, size_t *id_size)
{
    size_t at = 0;
    while (size - at >= sizeof(ElfW(Nhdr))) {
        ElfW(Nhdr) note;
        memcpy(&note, notes + at, sizeof note);
        uint64_t name = ((uint64_t)note.n_namesz + 3) & ~UINT64_C(3);
        uint64_t data = ((uint64_t)note.n_descsz + 3) & ~UINT64_C(3);
        if (sizeof note + name + data > size - at)
            return NULL;
        const unsigned char *content = notes + at + sizeof note;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp(content, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0 && note.n_descsz > 0) {
            *id_size = note.n_descsz;
            return content + name;
        }
        at += sizeof note + (size_t)(name + data);
    }
    return NULL;
}

/* What is to be added to the program's own addresses. Its headers, which the kernel points at, lie
 * on the first page of the file. */
static uintptr_t bias_of(const ElfW(Phdr) * headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (headers[i].p_type == PT_LOAD && headers[i].p_offset == 0)
            return ((uintptr_t)headers & PAGE_MASK) - (headers[i].p_vaddr & PAGE_MASK);
    return 0;
}

const char *buildid_own(char out[BUILDID_TEXT_MAX])
{
    const ElfW(Phdr) *headers = (const void *)getauxval(AT_PHDR);
    size_t count = headers != NULL ? getauxval(AT_PHNUM) : 0, size = 0, used = 0;
    uintptr_t bias = bias_of(headers, count);
    const unsigned char *id = NULL;
    for (size_t i = 0; i < count && id == NULL; i++)
        if (headers[i].p_type == PT_NOTE)
            id = buildid_find((const void *)(bias + headers[i].p_vaddr), headers[i].p_memsz, &size);
    out[0] = '\0';
    for (size_t i = 0; id != NULL && i < size && used + 2 < BUILDID_TEXT_MAX; i++, used += 2)
        (void)snprintf(out + used, 3, "%02x", id[i]);
    return out;
}
