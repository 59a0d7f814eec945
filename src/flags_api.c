/* SPDX-License-Identifier: MIT
 *
 * srun_flag_* and what may be asked after parsing: thin public names over flags.h. Apart from
 * flags.c, so that the table can be used and tested without a runner.
 */
#include "base/duration.h"
#include "base/text.h"
#include "flags.h"

#include <errno.h>

static int add(srun_runner *runner, const struct flag_spec *spec, srun_err *err)
{
    if (runner == NULL)
        return srun_fail(err, -EINVAL, "a flag needs a runner, not NULL");
    return flags_add(runner_flags(runner), spec, err);
}

int srun_flag_string(srun_runner *runner, const char **out, const char *name, const char *fallback,
                     const char *help, srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){.name = name,
                                         .help = help,
                                         .type = FLAG_STRING,
                                         .out.string = out,
                                         .fallback.string = fallback},
               err);
}

int srun_flag_bool(srun_runner *runner, int *out, const char *name, int fallback, const char *help,
                   srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){.name = name,
                                         .help = help,
                                         .type = FLAG_BOOL,
                                         .out.boolean = out,
                                         .fallback.boolean = fallback},
               err);
}

int srun_flag_int(srun_runner *runner, int64_t *out, const char *name, int64_t fallback,
                  const char *help, srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){.name = name,
                                         .help = help,
                                         .type = FLAG_INT,
                                         .out.integer = out,
                                         .fallback.integer = fallback},
               err);
}

int srun_flag_double(srun_runner *runner, double *out, const char *name, double fallback,
                     const char *help, srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){.name = name,
                                         .help = help,
                                         .type = FLAG_DOUBLE,
                                         .out.real = out,
                                         .fallback.real = fallback},
               err);
}

int srun_flag_duration_ms(srun_runner *runner, int64_t *out, const char *name, int64_t fallback,
                          const char *help, srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){.name = name,
                                         .help = help,
                                         .type = FLAG_DURATION_MS,
                                         .out.integer = out,
                                         .fallback.integer = fallback},
               err);
}

int srun_flag_strings(srun_runner *runner, const char *const **out, const char *name,
                      const char *help, srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){
                   .name = name, .help = help, .type = FLAG_STRINGS, .out.strings = out},
               err);
}

int srun_flag_custom(srun_runner *runner, const char *name, const char *value_name,
                     int (*set)(void *user, const char *value, srun_err *err), void *user,
                     const char *help, srun_err *err)
{
    return add(runner,
               &(const struct flag_spec){.name = name,
                                         .help = help,
                                         .value_name = value_name,
                                         .type = FLAG_CUSTOM,
                                         .out.set = set,
                                         .fallback.user = user},
               err);
}

int srun_flag_arguments(srun_runner *runner, const char *const **out, const char *help,
                        srun_err *err)
{
    if (runner == NULL)
        return srun_fail(err, -EINVAL, "arguments need a runner, not NULL");
    return flags_add_arguments(runner_flags(runner), out, help, err);
}

const char *srun_config_path(const srun_runner *runner)
{
    return runner == NULL ? NULL : flags_config_path(runner_flags(runner));
}

int srun_feature_enabled(const srun_runner *runner, const char *name)
{
    return runner != NULL && name != NULL && flags_feature(runner_flags(runner), name);
}

size_t srun_feature_count(const srun_runner *runner)
{
    return runner == NULL ? 0 : flags_feature_count(runner_flags(runner));
}

int srun_parse_duration(const char *text, int64_t *out_ns, srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    int rc = text == NULL ? -EINVAL : duration_parse(text, out_ns);
    if (rc < 0)
        return srun_fail(err, rc, "%s %s: accepted are 300ms, 1.5s, 2h45m",
                         text == NULL ? "NULL" : text_quote(quoted, text),
                         rc == -ERANGE ? "is out of range" : "is not a duration");
    return 0;
}
