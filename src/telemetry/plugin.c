/* SPDX-License-Identifier: MIT */
#include "telemetry/plugin.h"

#include "base/plugin.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define LIBRARY "libsrun-otlp.so.0"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what follows */
static const struct transport_plugin *loaded;

static int load_locked(const char *path, srun_err *err)
{
    char why[sizeof err->text];
    const struct transport_plugin *plugin =
        plugin_find(LIBRARY, path, TRANSPORT_SYMBOL, why, sizeof why);
    if (plugin == NULL)
        return srun_fail(err, -ELIBACC, "%s", why);
    if (plugin->size != sizeof *plugin || strcmp(plugin->version, SRUN_VERSION_TEXT) != 0)
        return srun_fail(err, -ELIBBAD, "%s: is not of version " SRUN_VERSION_TEXT,
                         path != NULL ? path : LIBRARY);
    loaded = plugin;
    return 0;
}

int plugin_check(const char *path, srun_err *err)
{
    char why[sizeof err->text];
    return plugin_is_there(LIBRARY, path, why, sizeof why) ? 0
                                                           : srun_fail(err, -ELIBACC, "%s", why);
}

int plugin_load(const char *path, const struct transport_plugin **out, srun_err *err)
{
    pthread_mutex_lock(&lock);
    int rc = loaded != NULL ? 0 : load_locked(path, err);
    if (rc == 0)
        *out = loaded;
    pthread_mutex_unlock(&lock);
    return rc;
}
