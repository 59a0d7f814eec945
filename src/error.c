/* SPDX-License-Identifier: MIT
 *
 * Errors as values: makes them, names them, prints the last one. Any thread. Allocates nothing,
 * logs nothing, and leaves errno as it found it.
 */
#include <srun/error.h>

#include "base/libc.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *srun_strerror(int code)
{
    switch (code) {
    case SRUN_ESTATE:
        return "not possible in this state";
    case SRUN_EFORK:
        return "called in a forked child";
    case SRUN_EUSAGE:
        return "wrong usage";
    case SRUN_EUPGRADE:
        return "the upgrade failed";
    case SRUN_ECLOSED:
        return "nothing will come any more";
    case ETIMEDOUT:
    case -ETIMEDOUT:
        return "timed out";
    default:
        break;
    }
    if (code == INT_MIN)
        return "unknown error";
    const char *text = strerrordesc_np(code < 0 ? -code : code);
    return text != NULL ? text : "unknown error";
}

int srun_fail(srun_err *err, int code, const char *format, ...)
{
    if (err == NULL)
        return code;

    /* By way of a copy, so that err's own text may stand among the arguments. */
    int saved = errno;
    char text[sizeof err->text];
    va_list args;
    va_start(args, format);
    int size = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (size < 0)
        text[0] = '\0';
    if (size >= (int)sizeof text)
        text[text_whole(text, sizeof text - 1)] = '\0';
    /* One line stays one line, whatever the values in it were. */
    size_t length = strlen(text);
    text_clean(text, length, "");

    err->code = code;
    memcpy(err->text, text, length + 1);
    errno = saved;
    return code;
}

int srun_report(const srun_err *err)
{
    int saved = errno;
    int code = err != NULL ? err->code : 0;
    const char *told = err != NULL && err->text[0] != '\0' ? err->text
                       : code != 0                         ? srun_strerror(code)
                                                           : "unknown error";
    char text[sizeof err->text]; /* which the program may have filled by itself */
    text_copy(text, sizeof text, told);
    text_clean(text, strlen(text), "");

    /* Nobody is left to be told that stderr is closed. */
    (void)fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
    errno = saved;
    return code == SRUN_EUSAGE ? 2 : 1;
}
