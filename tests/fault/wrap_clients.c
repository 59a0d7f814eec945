/* SPDX-License-Identifier: MIT
 *
 * Calls that only srunctl and the plugins make: of files by their names, of libcurl, zlib and
 * libdw.
 */
#include "wrapping.h"

#include <curl/curl.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <errno.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>
#include <zlib.h>

/* --- files ----------------------------------------------------------------------------------- */

WRAP(FILE *, fopen, const char *path, const char *mode)
{
    return fails("fopen", FAULT_DESCRIPTOR, EMFILE) ? NULL : fopen(path, mode);
}

WRAP(char *, fgets, char *out, int size, FILE *stream)
{
    return fails("fgets", FAULT_DESCRIPTOR, EIO) ? NULL : fgets(out, size, stream);
}

WRAP(size_t, fwrite, const void *data, size_t size, size_t count, FILE *stream)
{
    return fails("fwrite", FAULT_OUTPUT, ENOSPC) ? 0 : fwrite(data, size, count, stream);
}

/* Closed it is, whatever it says. */
WRAP(int, fclose, FILE *stream)
{
    bool fail = fails("fclose", FAULT_OUTPUT, ENOSPC);
    int rc = fclose(stream);
    if (fail)
        errno = ENOSPC;
    return fail ? EOF : rc;
}

WRAP(int, glob, const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *out)
{
    return fails("glob", FAULT_MEMORY, ENOMEM) ? GLOB_NOSPACE : glob(pattern, flags, on_error, out);
}

WRAP(char *, mkdtemp, char *path)
{
    return fails("mkdtemp", FAULT_DESCRIPTOR, ENOSPC) ? NULL : mkdtemp(path);
}

WRAP(int, mkdirat, int folder, const char *path, mode_t mode)
{
    return fails("mkdirat", FAULT_DESCRIPTOR, ENOSPC) ? -1 : mkdirat(folder, path, mode);
}

WRAP(int, tcgetattr, int fd, struct termios *out)
{
    return fails("tcgetattr", FAULT_DESCRIPTOR, EIO) ? -1 : tcgetattr(fd, out);
}

WRAP(int, tcsetattr, int fd, int when, const struct termios *to)
{
    return fails("tcsetattr", FAULT_DESCRIPTOR, EIO) ? -1 : tcsetattr(fd, when, to);
}

/* Of them, only the size of a terminal is asked for. */
WRAP(int, ioctl, int fd, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return fails("ioctl", FAULT_DESCRIPTOR, EIO) ? -1 : ioctl(fd, request, argument);
}

/* Of them, only pidfd_open is made. */
WRAP(long, syscall, long number, ...)
{
    va_list arguments;
    va_start(arguments, number);
    int pid = va_arg(arguments, int);
    va_end(arguments);
    return fails("syscall", FAULT_DESCRIPTOR, EMFILE) ? -1 : syscall(number, pid, 0);
}

/* --- libcurl --------------------------------------------------------------------------------- */

WRAP(CURLcode, curl_global_init, long flags)
{
    return fails("curl_global_init", FAULT_MEMORY, ENOMEM) ? CURLE_FAILED_INIT
                                                           : curl_global_init(flags);
}

WRAP(CURL *, curl_easy_init, void)
{
    return fails("curl_easy_init", FAULT_MEMORY, ENOMEM) ? NULL : curl_easy_init();
}

/* Does libcurl take a copy of it? Otherwise there is nothing that could fail. */
static bool is_copied(CURLoption option)
{
    switch (option) {
    case CURLOPT_URL:
    case CURLOPT_USERAGENT:
    case CURLOPT_PROXY:
    case CURLOPT_UNIX_SOCKET_PATH:
    case CURLOPT_CAINFO:
    case CURLOPT_CAPATH:
    case CURLOPT_SSLCERT:
    case CURLOPT_SSLKEY:
    case CURLOPT_KEYPASSWD:
        return true;
    default:
        return false;
    }
}

/* Whatever the argument is, it has the size of a pointer. */
WRAP(CURLcode, curl_easy_setopt, CURL *easy, CURLoption option, ...)
{
    va_list arguments;
    va_start(arguments, option);
    void *argument = va_arg(arguments, void *);
    va_end(arguments);
    return is_copied(option) && fails("curl_easy_setopt", FAULT_MEMORY, ENOMEM)
               ? CURLE_OUT_OF_MEMORY
               : (curl_easy_setopt)(easy, option, argument);
}

WRAP(CURLcode, curl_easy_perform, CURL *easy)
{
    return fails("curl_easy_perform", FAULT_MEMORY, ENOMEM) ? CURLE_OUT_OF_MEMORY
                                                            : curl_easy_perform(easy);
}

WRAP(char *, curl_easy_escape, CURL *easy, const char *text, int size)
{
    return fails("curl_easy_escape", FAULT_MEMORY, ENOMEM) ? NULL
                                                           : curl_easy_escape(easy, text, size);
}

WRAP(struct curl_slist *, curl_slist_append, struct curl_slist *list, const char *text)
{
    return fails("curl_slist_append", FAULT_MEMORY, ENOMEM) ? NULL : curl_slist_append(list, text);
}

WRAP(CURLM *, curl_multi_init, void)
{
    return fails("curl_multi_init", FAULT_MEMORY, ENOMEM) ? NULL : curl_multi_init();
}

WRAP(CURLMcode, curl_multi_add_handle, CURLM *multi, CURL *easy)
{
    return fails("curl_multi_add_handle", FAULT_MEMORY, ENOMEM)
               ? CURLM_OUT_OF_MEMORY
               : curl_multi_add_handle(multi, easy);
}

WRAP(CURLMcode, curl_multi_perform, CURLM *multi, int *running)
{
    return fails("curl_multi_perform", FAULT_MEMORY, ENOMEM) ? CURLM_OUT_OF_MEMORY
                                                             : curl_multi_perform(multi, running);
}

WRAP(CURLMcode, curl_multi_poll, CURLM *multi, struct curl_waitfd *more, unsigned count,
     int timeout, int *ready)
{
    return fails("curl_multi_poll", FAULT_MEMORY, ENOMEM)
               ? CURLM_OUT_OF_MEMORY
               : curl_multi_poll(multi, more, count, timeout, ready);
}

WRAP(CURLMcode, curl_multi_wakeup, CURLM *multi)
{
    return fails("curl_multi_wakeup", FAULT_DESCRIPTOR, EAGAIN) ? CURLM_WAKEUP_FAILURE
                                                                : curl_multi_wakeup(multi);
}

/* --- zlib ------------------------------------------------------------------------------------ */

WRAP(int, deflateInit2_, z_streamp stream, int level, int method, int window, int memory,
     int strategy, const char *version, int size)
{
    return fails("deflateInit2_", FAULT_MEMORY, ENOMEM)
               ? Z_MEM_ERROR
               : deflateInit2_(stream, level, method, window, memory, strategy, version, size);
}

WRAP(int, inflateInit_, z_streamp stream, const char *version, int size)
{
    return fails("inflateInit_", FAULT_MEMORY, ENOMEM) ? Z_MEM_ERROR
                                                       : inflateInit_(stream, version, size);
}

WRAP(int, inflate, z_streamp stream, int flush)
{
    return fails("inflate", FAULT_MEMORY, ENOMEM) ? Z_MEM_ERROR : inflate(stream, flush);
}

/* --- elfutils -------------------------------------------------------------------------------- */

WRAP(Elf *, elf_begin, int fd, Elf_Cmd command, Elf *of)
{
    return fails("elf_begin", FAULT_MEMORY, ENOMEM) ? NULL : elf_begin(fd, command, of);
}

WRAP(Elf *, elf_memory, char *image, size_t size)
{
    return fails("elf_memory", FAULT_MEMORY, ENOMEM) ? NULL : elf_memory(image, size);
}

WRAP(ssize_t, dwelf_elf_gnu_build_id, Elf *elf, const void **out)
{
    return fails("dwelf_elf_gnu_build_id", FAULT_MEMORY, ENOMEM) ? -1
                                                                 : dwelf_elf_gnu_build_id(elf, out);
}

WRAP(const char *, dwelf_elf_gnu_debuglink, Elf *elf, GElf_Word *crc)
{
    return fails("dwelf_elf_gnu_debuglink", FAULT_MEMORY, ENOMEM)
               ? NULL
               : dwelf_elf_gnu_debuglink(elf, crc);
}

WRAP(Dwarf *, dwarf_begin_elf, Elf *elf, Dwarf_Cmd command, Elf_Scn *group)
{
    return fails("dwarf_begin_elf", FAULT_MEMORY, ENOMEM) ? NULL
                                                          : dwarf_begin_elf(elf, command, group);
}

WRAP(int, dwarf_nextcu, Dwarf *dwarf, Dwarf_Off at, Dwarf_Off *next, size_t *head,
     Dwarf_Off *abbrev, uint8_t *address_size, uint8_t *offset_size)
{
    return fails("dwarf_nextcu", FAULT_MEMORY, ENOMEM)
               ? -1
               : dwarf_nextcu(dwarf, at, next, head, abbrev, address_size, offset_size);
}

WRAP(Dwarf_Die *, dwarf_offdie, Dwarf *dwarf, Dwarf_Off at, Dwarf_Die *out)
{
    return fails("dwarf_offdie", FAULT_MEMORY, ENOMEM) ? NULL : dwarf_offdie(dwarf, at, out);
}

WRAP(ptrdiff_t, dwarf_ranges, Dwarf_Die *die, ptrdiff_t at, Dwarf_Addr *base, Dwarf_Addr *start,
     Dwarf_Addr *end)
{
    return fails("dwarf_ranges", FAULT_MEMORY, ENOMEM) ? -1
                                                       : dwarf_ranges(die, at, base, start, end);
}

WRAP(int, dwarf_getaranges, Dwarf *dwarf, Dwarf_Aranges **out, size_t *count)
{
    return fails("dwarf_getaranges", FAULT_MEMORY, ENOMEM) ? -1
                                                           : dwarf_getaranges(dwarf, out, count);
}

WRAP(int, dwarf_getarangeinfo, Dwarf_Arange *range, Dwarf_Addr *start, Dwarf_Word *length,
     Dwarf_Off *unit)
{
    return fails("dwarf_getarangeinfo", FAULT_MEMORY, ENOMEM)
               ? -1
               : dwarf_getarangeinfo(range, start, length, unit);
}

WRAP(int, dwarf_getscopes, Dwarf_Die *unit, Dwarf_Addr at, Dwarf_Die **out)
{
    int count =
        fails("dwarf_getscopes", FAULT_MEMORY, ENOMEM) ? -1 : dwarf_getscopes(unit, at, out);
    if (count > 0)
        (void)counted(*out);
    return count;
}

WRAP(int, dwarf_getscopes_die, Dwarf_Die *die, Dwarf_Die **out)
{
    int count =
        fails("dwarf_getscopes_die", FAULT_MEMORY, ENOMEM) ? -1 : dwarf_getscopes_die(die, out);
    if (count > 0)
        (void)counted(*out);
    return count;
}

WRAP(Dwarf_Line *, dwarf_getsrc_die, Dwarf_Die *unit, Dwarf_Addr at)
{
    return fails("dwarf_getsrc_die", FAULT_MEMORY, ENOMEM) ? NULL : dwarf_getsrc_die(unit, at);
}

WRAP(int, dwarf_getsrcfiles, Dwarf_Die *unit, Dwarf_Files **out, size_t *count)
{
    return fails("dwarf_getsrcfiles", FAULT_MEMORY, ENOMEM) ? -1
                                                            : dwarf_getsrcfiles(unit, out, count);
}

WRAP(Dwarf_Attribute *, dwarf_attr_integrate, Dwarf_Die *die, unsigned name, Dwarf_Attribute *out)
{
    return fails("dwarf_attr_integrate", FAULT_MEMORY, ENOMEM)
               ? NULL
               : dwarf_attr_integrate(die, name, out);
}
