/* SPDX-License-Identifier: MIT
 *
 * The private side of srun/flags.h: a table of flags, parsed once by libpopt. Control thread,
 * before run; read-only afterwards.
 */
#ifndef FLAGS_H
#define FLAGS_H

#include <srun/flags.h>
#include <stdbool.h>

struct flags;

int flags_new(struct flags **out, srun_err *err);
struct flags *flags_free(struct flags *flags);

enum flag_type {
    FLAG_STRING,
    FLAG_BOOL,
    FLAG_INT,
    FLAG_DOUBLE,
    FLAG_DURATION_MS,
    FLAG_STRINGS,
    FLAG_CUSTOM,
    FLAG_TYPE_COUNT
};

/* What srun_flag_* say of one flag. The member of out that the type names is written: once with the
 * fallback when the flag is added, then at each use. */
struct flag_spec {
    const char *name, *help;
    const char *value_name; /* for --help; NULL: what fits the type */
    enum flag_type type;
    union {
        const char **string;
        int *boolean;
        int64_t *integer; /* also milliseconds */
        double *real;
        const char *const **strings;
        int (*set)(void *user, const char *value, srun_err *err);
    } out;
    union {
        const char *string;
        int boolean;
        int64_t integer;
        double real;
        void *user; /* of set */
    } fallback;
};

/* 0, -EEXIST, -EINVAL, -ENOMEM, SRUN_ESTATE; as srun/flags.h says. */
int flags_add(struct flags *flags, const struct flag_spec *spec, srun_err *err);
int flags_add_arguments(struct flags *flags, const char *const **out, const char *help,
                        srun_err *err);

/* What parsing needs to know of the program. */
struct flags_program {
    const char *name, *version;
    bool has_test; /* --test is possible */
};

/* 0; SRUN_DONE after --help or --version (printed to stdout); SRUN_EUSAGE; SRUN_ESTATE when
 * parsed before. argc 0: nothing to read. */
int flags_parse(struct flags *flags, int argc, char **argv, const struct flags_program *program,
                srun_err *err);

/* What was said of one flag, by index from 0; false past the last. Any thread, after parsing. */
struct flags_use {
    const char *name; /* borrowed */
    char value[256];  /* as text, cut to fit; several with commas between */
    bool given;       /* on the command line; else the value is the default */
};
bool flags_describe(const struct flags *flags, size_t index, struct flags_use *out);

bool flags_parsed(const struct flags *flags);
bool flags_test(const struct flags *flags); /* --test was given */
const char *flags_config_path(const struct flags *flags);
bool flags_feature(const struct flags *flags, const char *name);
size_t flags_feature_count(const struct flags *flags);

/* The table that a runner owns; given by runner.c, so that srun_flag_* needs to know no more. */
struct flags *runner_flags(const srun_runner *runner);

#endif
