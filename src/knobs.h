/* SPDX-License-Identifier: MIT
 *
 * The one table of knobs. What the file, the environment, the defaults, --help and
 * docs/configuration.md know of a setting, they know from here. Control thread, before any other
 * thread exists. Knows nothing of files or of the environment itself.
 */
#ifndef KNOBS_H
#define KNOBS_H

#include "config.h"

enum knob_type {
    KNOB_TIME,     /* int64_t milliseconds, written as a duration */
    KNOB_WORD,     /* an enum or int, one of words */
    KNOB_ON,       /* int: 1 = true */
    KNOB_DISABLED, /* int: 1 = false; people read and write the opposite, "enabled" */
    KNOB_PERCENT,  /* int, 1 to KNOB_PERCENT_MAX */
    KNOB_PATH,     /* this and what follows: a string owned by struct config, NULL at first. Of a
                      file or a folder; a relative one is made absolute when it is taken */
    KNOB_PLACE,    /* of a socket, absolute as all of them are; or "none" */
    KNOB_ADDRESS,  /* IP:PORT, or "none" */
    KNOB_NAMES,    /* with commas between */
    KNOB_URL,      /* or host:port */
    KNOB_TYPE_COUNT
};

struct knob_word {
    const char *word; /* NULL ends the list */
    int value;
};

struct knob {
    const char *group; /* in the file: srun.group.key; a group stands together */
    const char *key;
    const char *variable; /* in the environment */
    const char *field;    /* in struct srun_config */
    const char *help;
    const struct knob_word *words;
    enum knob_type type;
    size_t offset;    /* of the field */
    int64_t fallback; /* the default, as the field holds it; a text has none */
    int64_t min;      /* of a time that is set; none exceeds KNOB_TIME_MAX */
};

static inline size_t knob_size(const struct knob *knob)
{
    return knob->type >= KNOB_PATH   ? sizeof(char *)
           : knob->type == KNOB_TIME ? sizeof(int64_t)
                                     : sizeof(int);
}

static inline bool knob_is_text(const struct knob *knob)
{
    return knob->type >= KNOB_PATH;
}

#define KNOB_TIME_MAX (INT64_C(876000) * 60 * 60 * 1000) /* a hundred years */

#define KNOB_PERCENT_MAX 100000 /* a thousand processors */

const struct knob *knobs_all(size_t *count);

/* Reads text into the field. where says what is being read, for the error: "SRUN_LOG_LEVEL" or
 * "srun.yaml:4: srun.log.level". 0, SRUN_EUSAGE (value, what is accepted), -ENOMEM. */
int knob_set(const struct knob *knob, struct config *config, const char *text, const char *where,
             srun_err *err);

/* Checks what the code says and puts the default where it says nothing. 0, -EINVAL, -ENOMEM; or why
 * a path cannot be made absolute: -ENAMETOOLONG, -ENOENT. */
int knob_resolve(const struct knob *knob, struct config *config, srun_err *err);

/* For people: what is accepted ("text, json"), the value as text ("30s", "true", "none"), and the
 * same of the default. */
#define KNOB_TEXT_MAX 64
const char *knob_accepted(const struct knob *knob, char out[KNOB_TEXT_MAX]);
const char *knob_text(const struct knob *knob, const struct config *config,
                      char out[KNOB_TEXT_MAX]);
const char *knob_default(const struct knob *knob, char out[KNOB_TEXT_MAX]);

#endif
