/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a file with debug information: it is refused, or its image has all that was asked
 * for, in one piece of memory that libelf can read.
 */
#include "../../plugins/symbols/image.h"
#include "fuzz.h"

#include <gelf.h>
#include <sys/mman.h>
#include <unistd.h>

static void check_sections(const struct image *image)
{
    size_t names = 0;
    if (elf_getshdrstrndx(image->elf, &names) != 0)
        return;
    for (Elf_Scn *at = NULL; (at = elf_nextscn(image->elf, at)) != NULL;) {
        GElf_Shdr section;
        const char *name = NULL;
        if (gelf_getshdr(at, &section) != NULL)
            name = elf_strptr(image->elf, names, section.sh_name);
        if (name == NULL || strncmp(name, ".debug_", 7) != 0 || section.sh_type == SHT_NOBITS)
            continue;
        ENSURE(section.sh_offset <= image->size);
        ENSURE(section.sh_size <= image->size - section.sh_offset);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct image image;
    int fd = memfd_create("debug", MFD_CLOEXEC);
    ENSURE(fd >= 0 && elf_version(EV_CURRENT) != EV_NONE);
    ENSURE(write(fd, data, size) == (ssize_t)size);
    bool good = image_read(fd, &image);
    ENSURE(good == (image.elf != NULL) && good == (image.data != NULL));
    if (good)
        check_sections(&image);
    image_free(&image);
    ENSURE(close(fd) == 0);
    return 0;
}
