/* SPDX-License-Identifier: MIT */
#include "telemetry/late.h"

#include "base/auto.h"
#include "telemetry/plugin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct late {
    struct transport face;
    struct transport_options options;
    char *url, *ca_file, *cert_file, *key_file, *plugin;
    char **headers;                 /* NULL, or name, value, ..., NULL */
    struct transport *_Atomic real; /* NULL: not opened yet */
    int code;                       /* of the last attempt to open it */
    char why[sizeof((struct transport_reply *)0)->text];
};

/* --- opening it ------------------------------------------------------------------------------ */

static int open_real(struct late *late)
{
    const struct transport_plugin *plugin = NULL;
    struct transport *real = NULL;
    srun_err err = {0};
    int rc = plugin_load(late->plugin, &plugin, &err);
    if (rc < 0) {
        (void)snprintf(late->why, sizeof late->why, "%.*s", (int)sizeof late->why - 1, err.text);
        return rc;
    }
    rc = plugin->open(&late->options, &real, late->why, sizeof late->why);
    if (rc == 0)
        atomic_store(&late->real, real);
    return rc;
}

static int late_load(struct transport *transport, const void *body, size_t size)
{
    struct late *late = (struct late *)transport;
    struct transport *real = atomic_load(&late->real);
    if (real == NULL) {
        late->code = open_real(late);
        real = atomic_load(&late->real);
    }
    return real != NULL ? real->load(real, body, size) : 0; /* the attempt says why */
}

static void late_attempt(struct transport *transport, int64_t deadline_ns,
                         struct transport_reply *out)
{
    struct late *late = (struct late *)transport;
    struct transport *real = atomic_load(&late->real);
    if (real != NULL) {
        real->attempt(real, deadline_ns, out);
        return;
    }
    *out = (struct transport_reply){.code = late->code,
                                    .grpc_status = -1,
                                    .grpc_message = "",
                                    .grpc_details = "",
                                    .retry_after = ""};
    memcpy(out->text, late->why, sizeof out->text);
}

static void late_wake(struct transport *transport)
{
    struct transport *real = atomic_load(&((struct late *)transport)->real);
    if (real != NULL)
        real->wake(real);
}

/* --- its life -------------------------------------------------------------------------------- */

static void late_free(struct transport *transport)
{
    struct late *late = (struct late *)transport;
    struct transport *real = atomic_load(&late->real);
    if (real != NULL)
        real->free(real);
    for (char **text = late->headers; text != NULL && *text != NULL; text++)
        free(*text);
    free(late->headers);
    free(late->url);
    free(late->ca_file);
    free(late->cert_file);
    free(late->key_file);
    free(late->plugin);
    free(late);
}

static void auto_late_cleanup(struct late **late)
{
    if (*late != NULL)
        late_free(&(*late)->face);
}

/* NULL is copied as NULL. */
static bool copy_text(char **out, const char *text)
{
    *out = text != NULL ? strdup(text) : NULL;
    return text == NULL || *out != NULL;
}

static bool copy_headers(struct late *late, const char *const *headers)
{
    size_t count = 0;
    while (headers != NULL && headers[count] != NULL)
        count++;
    if (count == 0)
        return true;
    late->headers = calloc(count + 1, sizeof late->headers[0]);
    bool copied = late->headers != NULL;
    for (size_t i = 0; copied && i < count; i++)
        copied = copy_text(&late->headers[i], headers[i]);
    return copied;
}

static bool copy_options(struct late *late, const struct transport_options *options,
                         const char *plugin)
{
    bool copied = copy_text(&late->url, options->url) &&
                  copy_text(&late->ca_file, options->ca_file) &&
                  copy_text(&late->cert_file, options->cert_file) &&
                  copy_text(&late->key_file, options->key_file) &&
                  copy_text(&late->plugin, plugin) && copy_headers(late, options->headers);
    late->options = *options;
    late->options.url = late->url;
    late->options.ca_file = late->ca_file;
    late->options.cert_file = late->cert_file;
    late->options.key_file = late->key_file;
    late->options.headers = (const char *const *)late->headers;
    return copied;
}

int late_open(const struct transport_options *options, const char *plugin, struct transport **out,
              srun_err *err)
{
    int rc = plugin_check(plugin, err);
    if (rc < 0)
        return rc;
    __attribute__((cleanup(auto_late_cleanup))) struct late *late = calloc(1, sizeof *late);
    if (late == NULL || !copy_options(late, options, plugin))
        return srun_fail(err, -ENOMEM, "exporter: out of memory");
    late->face = (struct transport){
        .load = late_load, .attempt = late_attempt, .wake = late_wake, .free = late_free};
    *out = &take_ptr(late)->face;
    return 0;
}
