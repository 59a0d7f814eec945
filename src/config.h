/* SPDX-License-Identifier: MIT
 *
 * The resolved configuration: default < code < file < environment. One table of knobs serves the
 * file, the environment, --help and docs/configuration.md. Used by the control thread before any
 * other thread exists; read-only afterwards.
 */
#ifndef CONFIG_H
#define CONFIG_H

#include <srun/config.h>
#include <stdbool.h>
#include <stdio.h>

#define CONFIG_KNOBS_MAX 64

struct knob;

enum config_origin { CONFIG_DEFAULT, CONFIG_CODE, CONFIG_FILE, CONFIG_ENVIRONMENT };

struct config {
    struct srun_config value; /* every field filled in; strings owned by the members below */
    char *name, *version;
    char *texts[CONFIG_KNOBS_MAX];           /* by knob: of those that are texts */
    unsigned char origins[CONFIG_KNOBS_MAX]; /* by knob: who has set it, an enum config_origin */
};

/* Default < code: checks size and ranges, fills the defaults, copies the strings. A NULL code is
 * all defaults. -E2BIG, -EINVAL (names the field, the value, what is accepted), -ENOMEM, or what
 * path_make_absolute says. */
int config_init(struct config *config, const struct srun_config *code, srun_err *err);

/* < file < environment. path may be NULL. getenv_fn is secure_getenv outside of tests.
 * SRUN_EUSAGE names the variable, or the file and line, the value, and what is accepted. */
int config_load(struct config *config, const char *path, char *(*getenv_fn)(const char *),
                srun_err *err);

/* Variables that are nearly one of ours: environment is NULL-ended, *at where to begin, 0 at first,
 * and what follows the one that was found later. The knob that was meant, or NULL when none is
 * left; the name, cut at CONFIG_VARIABLE_MAX, in out. */
#define CONFIG_VARIABLE_MAX 64
const struct knob *config_misspelt(char *const *environment, size_t *at,
                                   char out[CONFIG_VARIABLE_MAX]);

/* The knobs for --help: variable, what it sets, default. */
void config_print_help(FILE *out);

/* The knob for the field at this offset of struct srun_config; it has to be one's. */
size_t config_knob_at(size_t offset);

void config_free(struct config *config);

#endif
