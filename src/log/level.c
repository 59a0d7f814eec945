/* SPDX-License-Identifier: MIT
 *
 * The names of levels, and the numbers between the names: INFO+2, DEBUG-1. PURE: any thread.
 */
#include "log/level.h"

#include "base/ensure.h"
#include "base/number.h"

#include <errno.h>
#include <limits.h>
#include <srun/log.h>
#include <string.h>

static const struct level_name {
    char name[8]; /* so wide that a copy has a fixed size */
    size_t size;
    int level;
} names[] = {
    {"ERROR", 5, SRUN_LEVEL_ERROR},
    {"WARN", 4, SRUN_LEVEL_WARN},
    {"INFO", 4, SRUN_LEVEL_INFO},
    {"DEBUG", 5, SRUN_LEVEL_DEBUG},
};

/* Not strcasecmp: what a letter's other case is must not depend on the locale. */
static int starts_with(const char *text, const struct level_name *name)
{
    for (size_t i = 0; i < name->size; i++) {
        char upper = text[i] >= 'a' && text[i] <= 'z' ? (char)(text[i] - 'a' + 'A') : text[i];
        if (upper != name->name[i])
            return 0;
    }
    return 1;
}

/* "", "+2", "-13": at most four digits. */
static int parse_distance(const char *text, int *out)
{
    int sign = *text == '-' ? -1 : 1;
    *out = 0;
    if (*text == '\0')
        return 0;
    if (*text != '+' && *text != '-')
        return -EINVAL;
    size_t digits = strspn(++text, "0123456789");
    if (digits == 0 || digits > 4 || text[digits] != '\0')
        return -EINVAL;
    for (; *text != '\0'; text++)
        *out = *out * 10 + (*text - '0');
    *out *= sign;
    return 0;
}

size_t level_format(char out[LEVEL_TEXT_MAX], int level)
{
    size_t i = 0;
    while (i < COUNT_OF(names) - 1 && level < names[i].level)
        i++;
    memcpy(out, names[i].name, sizeof names[i].name);
    size_t size = names[i].size;
    int64_t distance = (int64_t)level - names[i].level;
    if (distance == 0)
        return size;
    if (distance > 0)
        out[size++] = '+';
    return size + number_int(out + size, distance);
}

int srun_level_parse(const char *text, int *out)
{
    if (text == NULL)
        return -EINVAL;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        int distance;
        if (!starts_with(text, &names[i]))
            continue;
        int rc = parse_distance(text + names[i].size, &distance);
        if (rc == 0)
            *out = names[i].level + distance;
        return rc;
    }
    return -EINVAL;
}
