/* SPDX-License-Identifier: MIT
 *
 * Default < code < file < environment, all by the table of knobs. Control thread, before any other
 * thread exists; the result is read-only afterwards. Never reads the environment but through the
 * function it is given.
 */
#include "config.h"

#include "base/ensure.h"
#include "base/sized.h"
#include "base/text.h"
#include "config_file.h"
#include "knobs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_MAX_BYTES 255
#define VARIABLE_PREFIX "SRUN_"
#define SIZE_MIN offsetof(struct srun_config, timeouts)

static int copy_code(struct srun_config *value, const struct srun_config *code, srun_err *err)
{
    int rc = sized_copy(value, sizeof *value, SIZE_MIN, code);
    if (rc == -E2BIG)
        return srun_fail(err, rc,
                         "config.size: %zu: the program sets fields that this library, with %zu"
                         " bytes, does not know",
                         code->size, sizeof *value);
    if (rc < 0)
        return srun_fail(err, rc,
                         "config.size: %zu: accepted is sizeof(struct srun_config), here %zu",
                         code->size, sizeof *value);
    return 0;
}

static int check_reserved(const struct srun_config *value, srun_err *err)
{
#define RESERVED(group)                                                                            \
    {                                                                                              \
#group ".reserved", &value->group.reserved, sizeof value->group.reserved                   \
    }
    const struct {
        const char *field;
        const void *start;
        size_t size;
    } fields[] = {
        RESERVED(timeouts),
        RESERVED(log),
        RESERVED(signals),
        RESERVED(crash),
        {"crash.more", &value->crash.more, sizeof value->crash.more},
        RESERVED(debug),
        RESERVED(hooks),
        {"upgrade.more", &value->upgrade.more, sizeof value->upgrade.more},
        RESERVED(health),
        {"health.more", &value->health.more, sizeof value->health.more},
        RESERVED(admin),
        {"admin.more", &value->admin.more, sizeof value->admin.more},
        RESERVED(telemetry),
        {"telemetry.more", &value->telemetry.more, sizeof value->telemetry.more},
    };
#undef RESERVED
    for (size_t i = 0; i < COUNT_OF(fields); i++)
        if (!is_zero(fields[i].start, fields[i].size))
            return srun_fail(err, -EINVAL, "config.%s is not zero: accepted is zero",
                             fields[i].field);
    return 0;
}

/* Copies a text of the code, or its default. */
static int own_text(char **out, const char **value, const char *field, const char *fallback,
                    srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    const char *text = *value == NULL ? fallback : *value;
    *value = NULL;
    if (!text_printable(text, NAME_MAX_BYTES))
        return srun_fail(err, -EINVAL,
                         "config.%s: %s: accepted are 1 to %d bytes of printable text", field,
                         text_quote(quoted, text), NAME_MAX_BYTES);
    *out = strdup(text);
    if (*out == NULL)
        return srun_fail(err, -ENOMEM, "config.%s: out of memory", field);
    *value = *out;
    return 0;
}

static int own_texts(struct config *config, srun_err *err)
{
    struct srun_config *value = &config->value;
    const char *program = program_invocation_short_name;
    if (!text_printable(program, NAME_MAX_BYTES))
        program = "program";
    int rc = own_text(&config->name, &value->name, "name", program, err);
    if (rc == 0)
        rc = own_text(&config->version, &value->version, "version", "0.0.0", err);
    return rc;
}

static int resolve(struct config *config, srun_err *err)
{
    struct srun_config *value = &config->value;
    int rc = check_reserved(value, err);
    if (rc == 0)
        rc = own_texts(config, err);

    size_t count = 0;
    const struct knob *knobs = knobs_all(&count);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (!is_zero((const char *)value + knobs[i].offset, knob_size(&knobs[i])))
            config->origins[i] = CONFIG_CODE;
        rc = knob_resolve(&knobs[i], config, err);
    }
    if (rc < 0)
        return rc;

    if (value->log.fd_plus_one < 0)
        return srun_fail(err, -EINVAL, "config.log.fd_plus_one: %d: accepted is 1 + a descriptor",
                         value->log.fd_plus_one);
    if ((unsigned)value->telemetry.sampler > SRUN_SAMPLER_PARENT_RATIO)
        return srun_fail(err, -EINVAL, "config.telemetry.sampler: %d: accepted is an srun_sampler",
                         (int)value->telemetry.sampler);
    if (!(value->telemetry.sample_ratio >= 0 && value->telemetry.sample_ratio <= 1))
        return srun_fail(err, -EINVAL, "config.telemetry.sample_ratio: %g: accepted is 0 to 1",
                         value->telemetry.sample_ratio);
    if (value->log.fd_plus_one == 0)
        value->log.fd_plus_one = 1 + STDERR_FILENO;
    if (value->upgrade.no_probation != 0)
        value->upgrade.probation_ms = 0;
    value->signals.disabled = value->signals.disabled != 0;
    value->signals.keep_sigpipe = value->signals.keep_sigpipe != 0;
    value->crash.disabled = value->crash.disabled != 0;
    return 0;
}

int config_init(struct config *config, const struct srun_config *code, srun_err *err)
{
    *config = (struct config){.value.size = sizeof config->value};
    int rc = code != NULL ? copy_code(&config->value, code, err) : 0;
    if (rc < 0)
        return rc;
    rc = resolve(config, err);
    if (rc < 0)
        config_free(config);
    return rc;
}

static int load_environment(struct config *config, char *(*getenv_fn)(const char *), srun_err *err)
{
    size_t count = 0;
    const struct knob *knobs = knobs_all(&count);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        const char *text = getenv_fn(knobs[i].variable);
        if (text != NULL && text[0] != '\0')
            rc = knob_set(&knobs[i], config, text, knobs[i].variable, err);
        if (text != NULL && text[0] != '\0')
            config->origins[i] = CONFIG_ENVIRONMENT;
    }
    return rc;
}

int config_load(struct config *config, const char *path, char *(*getenv_fn)(const char *),
                srun_err *err)
{
    int rc = path == NULL ? 0 : config_file_load(config, path, err);
    return rc < 0 ? rc : load_environment(config, getenv_fn, err);
}

/* The knob whose variable is nearest to the name; NULL: none is, or it is one of them. */
static const struct knob *nearest_to(const char *name)
{
    size_t count = 0;
    const struct knob *knobs = knobs_all(&count), *found = NULL;
    struct text_nearest nearest = {.word = name + strlen(VARIABLE_PREFIX)};
    for (size_t i = 0; i < count; i++) {
        const char *before = nearest.best;
        if (strcmp(knobs[i].variable, name) == 0)
            return NULL;
        text_nearest_offer(&nearest, knobs[i].variable + strlen(VARIABLE_PREFIX));
        found = nearest.best != before ? &knobs[i] : found;
    }
    return found;
}

const struct knob *config_misspelt(char *const *environment, size_t *at,
                                   char out[CONFIG_VARIABLE_MAX])
{
    const struct knob *meant = NULL;
    while (meant == NULL && environment[*at] != NULL) {
        const char *entry = environment[(*at)++];
        size_t length = strcspn(entry, "=");
        (void)snprintf(out, CONFIG_VARIABLE_MAX, "%.*s",
                       (int)(length < CONFIG_VARIABLE_MAX ? length : CONFIG_VARIABLE_MAX), entry);
        if (strncmp(out, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) == 0)
            meant = nearest_to(out);
    }
    return meant;
}

size_t config_knob_at(size_t offset)
{
    size_t count = 0, at = 0;
    const struct knob *knobs = knobs_all(&count);
    while (at < count && knobs[at].offset != offset)
        at++;
    ENSURE(at < count);
    return at;
}

void config_print_help(FILE *out)
{
    char accepted[KNOB_TEXT_MAX];
    char fallback[KNOB_TEXT_MAX];
    size_t count = 0;
    const struct knob *knobs = knobs_all(&count);
    (void)fprintf(out, "Variables (above the file, which is above the program) [default]:\n");
    for (size_t i = 0; i < count; i++) {
        (void)fprintf(out, "  %-22s  %s", knobs[i].variable, knobs[i].help);
        if (knobs[i].type == KNOB_WORD)
            (void)fprintf(out, ": %s", knob_accepted(&knobs[i], accepted));
        (void)fprintf(out, " [%s]\n", knob_default(&knobs[i], fallback));
    }
}

void config_free(struct config *config)
{
    free(config->name);
    free(config->version);
    for (size_t i = 0; i < CONFIG_KNOBS_MAX; i++)
        free(config->texts[i]);
    *config = (struct config){0};
}
