/* SPDX-License-Identifier: MIT
 *
 * Command line flags. --config, --feature.enable, --version, --test and --help are there already;
 * a program adds its own in setup. A flag writes its variable when the runner parses; before that
 * the variable holds the default. Variables must outlive the runner; names and texts are copied, help
 * may be NULL. All calls: 0, -EEXIST (name taken), -EINVAL (the name: 1 to 64 printable ASCII
 * characters without = and blanks, the first no -; nowhere to write), -ENOMEM, SRUN_ESTATE (parsed
 * already).
 * Threads: before run.
 */
#ifndef SRUN_FLAGS_H
#define SRUN_FLAGS_H

#include <srun/runner.h>

#ifdef __cplusplus
extern "C" {
#endif

/* *out is set to fallback at once, to the very pointer when it is a string; NULL may be one. A string
 * given by the user is owned by the runner. */
SRUN_API int srun_flag_string(srun_runner *runner, const char **out, const char *name,
                              const char *fallback, const char *help, srun_err *err);
SRUN_API int srun_flag_bool(srun_runner *runner, int *out, const char *name, int fallback,
                            const char *help, srun_err *err);
SRUN_API int srun_flag_int(srun_runner *runner, int64_t *out, const char *name, int64_t fallback,
                           const char *help, srun_err *err);
SRUN_API int srun_flag_double(srun_runner *runner, double *out, const char *name, double fallback,
                              const char *help, srun_err *err);

/* Milliseconds; written as Go's time.ParseDuration reads them: 300ms, 1.5s, 2h45m. */
SRUN_API int srun_flag_duration_ms(srun_runner *runner, int64_t *out, const char *name,
                                   int64_t fallback, const char *help, srun_err *err);

/* A flag that may be repeated. *out is a NULL-ended array owned by the runner, never NULL. */
SRUN_API int srun_flag_strings(srun_runner *runner, const char *const **out, const char *name,
                               const char *help, srun_err *err);

/* A flag with a parser of its own: set is called once per use, in order; it answers 0 or a
 * negative code with what is accepted in err. value_name is for --help; NULL: VALUE. */
SRUN_API int srun_flag_custom(srun_runner *runner, const char *name, const char *value_name,
                              int (*set)(void *user, const char *value, srun_err *err), void *user,
                              const char *help, srun_err *err);

/* What is left after the flags, NULL-ended, owned by the runner. Programs that take none need not
 * look: unexpected arguments are a usage error unless this was called before parsing.
 * *out is set when parsing. */
SRUN_API int srun_flag_arguments(srun_runner *runner, const char *const **out, const char *help,
                                 srun_err *err);

/* After parsing. The path given by --config, or NULL; 1 if --feature.enable=name was given; how
 * many features are enabled. Threads: any. */
SRUN_API const char *srun_config_path(const srun_runner *runner);
SRUN_API int srun_feature_enabled(const srun_runner *runner, const char *name);
SRUN_API size_t srun_feature_count(const srun_runner *runner);

/* Go's time.ParseDuration: [+-](digits[.digits]unit)+ with ns us ms s m h, or "0". In nanoseconds.
 * 0, or -EINVAL / -ERANGE with what is accepted in err. Threads: any. */
SRUN_API int srun_parse_duration(const char *text, int64_t *out_ns, srun_err *err);

#ifdef __cplusplus
}
#endif
#endif
