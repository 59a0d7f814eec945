/* SPDX-License-Identifier: MIT */
#include "image.h"

#include "base/read.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <zlib.h>

#define IMAGE_MAX ((uint64_t)4 << 30)
#define WANTED_MAX ((uint64_t)256 << 20) /* of memory, for a container that has little */
#define ALIGNED(size) (((size) + 15) & ~UINT64_C(15))

/* From the file to the same place in the image. */
static bool copy(int fd, const struct image *image, uint64_t offset, uint64_t size)
{
    return offset <= image->size && size <= image->size - offset &&
           read_at(fd, image->data + offset, size, offset);
}

/* --- what was compressed ---------------------------------------------------------------------- */

/* Unpacks what lies at an offset of a file. */
static bool inflate_all(int fd, uint64_t offset, uint64_t size, char *out, uint64_t out_size)
{
    unsigned char packed[16384];
    z_stream stream = {.next_out = (Bytef *)out, .avail_out = (uInt)out_size};
    int rc = inflateInit(&stream);
    while (rc == Z_OK && size > 0) {
        uint64_t piece = size < sizeof packed ? size : sizeof packed;
        if (!read_at(fd, packed, piece, offset))
            break;
        stream.next_in = packed;
        stream.avail_in = (uInt)piece;
        rc = inflate(&stream, Z_NO_FLUSH);
        offset += piece;
        size -= piece;
    }
    bool whole = stream.total_out == out_size;
    (void)inflateEnd(&stream);
    return whole;
}

/* How long a section is when it is unpacked; 0: it is not packed, or in a way we do not know. */
static uint64_t unpacked_size(int fd, const Elf64_Shdr *section, Elf64_Chdr *head)
{
    bool packed = (section->sh_flags & SHF_COMPRESSED) != 0 && section->sh_size > sizeof *head &&
                  read_at(fd, head, sizeof *head, section->sh_offset);
    return packed && head->ch_type == ELFCOMPRESS_ZLIB && head->ch_size < IMAGE_MAX ? head->ch_size
                                                                                    : 0;
}

/* --- sections --------------------------------------------------------------------------------- */

/* Code and data are not: they stay zero, and take no memory. */
static bool is_wanted(const char *name)
{
    return strncmp(name, ".debug_", 7) == 0 || strcmp(name, ".gnu_debugaltlink") == 0;
}

struct sections {
    uint64_t at, each, count;
    Elf64_Shdr names; /* of the sections */
};

static Elf64_Shdr section_at(const struct image *image, const struct sections *sections, uint64_t i)
{
    Elf64_Shdr section;
    memcpy(&section, image->data + sections->at + i * sections->each, sizeof section);
    return section;
}

static bool wanted_at(const struct image *image, const struct sections *sections, uint64_t i,
                      Elf64_Shdr *out)
{
    *out = section_at(image, sections, i);
    return out->sh_type != SHT_NOBITS && out->sh_name < sections->names.sh_size &&
           is_wanted(image->data + sections->names.sh_offset + out->sh_name);
}

static bool read_tables(int fd, const struct image *image, struct sections *out)
{
    Elf64_Ehdr head;
    if (!copy(fd, image, 0, sizeof head))
        return false;
    memcpy(&head, image->data, sizeof head);
    if (memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 || head.e_ident[EI_CLASS] != ELFCLASS64 ||
        head.e_shentsize != sizeof(Elf64_Shdr) || head.e_shstrndx >= head.e_shnum)
        return false;
    *out = (struct sections){head.e_shoff, head.e_shentsize, head.e_shnum, {0}};
    if (!copy(fd, image, head.e_shoff, out->count * out->each) ||
        !copy(fd, image, head.e_phoff, (uint64_t)head.e_phnum * head.e_phentsize))
        return false;
    out->names = section_at(image, out, head.e_shstrndx);
    return out->names.sh_size > 0 && copy(fd, image, out->names.sh_offset, out->names.sh_size) &&
           image->data[out->names.sh_offset + out->names.sh_size - 1] == '\0';
}

/* Room behind the file for what will be unpacked. False too when there is more than may be. */
static bool grow(int fd, struct image *image, const struct sections *sections)
{
    uint64_t size = ALIGNED(image->size), left = WANTED_MAX;
    for (uint64_t i = 0; i < sections->count; i++) {
        Elf64_Shdr section;
        Elf64_Chdr head;
        if (!wanted_at(image, sections, i, &section))
            continue;
        uint64_t unpacked = unpacked_size(fd, &section, &head);
        uint64_t taken = unpacked > 0 ? unpacked : section.sh_size;
        if (taken > left)
            return false;
        left -= taken;
        size += ALIGNED(unpacked);
    }
    void *grown =
        size < IMAGE_MAX ? mremap(image->data, image->size, size, MREMAP_MAYMOVE) : MAP_FAILED;
    if (grown == MAP_FAILED)
        return false;
    image->data = grown;
    image->size = size;
    return true;
}

static bool read_sections(int fd, const struct image *image, const struct sections *sections,
                          uint64_t end)
{
    for (uint64_t i = 0; i < sections->count; i++) {
        Elf64_Shdr section;
        Elf64_Chdr head;
        if (!wanted_at(image, sections, i, &section))
            continue;
        uint64_t size = unpacked_size(fd, &section, &head);
        if (size == 0 && !copy(fd, image, section.sh_offset, section.sh_size))
            return false;
        if (size == 0)
            continue;
        if (size > image->size - end || /* not so when it was counted */
            !inflate_all(fd, section.sh_offset + sizeof head, section.sh_size - sizeof head,
                         image->data + end, size))
            return false;
        section.sh_offset = end;
        section.sh_size = size;
        section.sh_flags &= ~(Elf64_Xword)SHF_COMPRESSED;
        section.sh_addralign = head.ch_addralign;
        memcpy(image->data + sections->at + i * sections->each, &section, sizeof section);
        end += ALIGNED(size);
    }
    return true;
}

/* --- the image -------------------------------------------------------------------------------- */

static bool make_room(int fd, struct image *image)
{
    struct stat now;
    if (fstat(fd, &now) != 0 || now.st_size <= 0 || (uint64_t)now.st_size > IMAGE_MAX)
        return false;
    void *data = mmap(NULL, (size_t)now.st_size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (data == MAP_FAILED)
        return false;
    *image = (struct image){.data = data, .size = (size_t)now.st_size};
    return true;
}

bool image_read(int fd, struct image *out)
{
    struct sections sections;
    *out = (struct image){0};
    if (make_room(fd, out) && read_tables(fd, out, &sections)) {
        uint64_t end = ALIGNED(out->size);
        if (grow(fd, out, &sections) && read_sections(fd, out, &sections, end))
            out->elf = elf_memory(out->data, out->size);
    }
    if (out->elf != NULL)
        return true;
    image_free(out);
    return false;
}

void image_free(struct image *image)
{
    (void)elf_end(image->elf);
    if (image->data != NULL)
        (void)munmap(image->data, image->size);
    *image = (struct image){0};
}
