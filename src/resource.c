/* SPDX-License-Identifier: MIT */
#include "resource.h"

#include "telemetry/self.h"
#include "telemetry/w3c.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OWN_MAX = 16 };

/* Version 4: random, but for six bits. */
static void make_instance(char out[37])
{
    uint8_t id[16];
    char hex[33];
    self_trace_id(id);
    id[6] = (uint8_t)((id[6] & 0x0f) | 0x40);
    id[8] = (uint8_t)((id[8] & 0x3f) | 0x80);
    w3c_hex(hex, id, sizeof id);
    char *at = out;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *at++ = '-';
        *at++ = hex[i];
    }
    *at = '\0';
}

static size_t count_of(const struct srun_kv *kvs)
{
    size_t count = 0;
    while (kvs != NULL && kvs[count].type != SRUN_KV_END)
        count++;
    return count;
}

/* One that was found out, unless the environment says it. */
static void add(struct resource *resource, size_t *count, struct srun_kv kv)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp(resource->attributes[i].key, kv.key) == 0)
            return;
    resource->attributes[(*count)++] = kv;
}

/* What the environment says, but for what only we can know. */
static size_t add_environment(struct resource *resource)
{
    size_t count = 0;
    const struct srun_kv *kvs = resource->env->resource;
    if (resource->env->service_name != NULL)
        resource->attributes[count++] = SRUN_STR("service.name", resource->env->service_name);
    for (size_t i = 0; i < count_of(kvs); i++)
        if (strncmp(kvs[i].key, "telemetry.sdk.", 14) != 0)
            add(resource, &count, kvs[i]);
    return count;
}

static void describe(struct resource *resource)
{
    make_instance(resource->instance);
    if (gethostname(resource->host, sizeof resource->host) < 0)
        resource->host[0] = '\0';
    resource->host[sizeof resource->host - 1] = '\0';
    (void)stpncpy(resource->executable, program_invocation_short_name,
                  sizeof resource->executable - 1);
}

static int fill(struct resource *resource)
{
    size_t count = count_of(resource->env->resource) + OWN_MAX;
    resource->attributes = calloc(count, sizeof resource->attributes[0]);
    if (resource->attributes == NULL || resource->name == NULL || resource->version == NULL)
        return -ENOMEM;
    describe(resource);
    size_t at = add_environment(resource);
    add(resource, &at, SRUN_STR("service.name", resource->name));
    add(resource, &at, SRUN_STR("service.version", resource->version));
    add(resource, &at, SRUN_STR("service.instance.id", resource->instance));
    add(resource, &at, SRUN_STR("telemetry.sdk.name", "libsrun"));
    add(resource, &at, SRUN_STR("telemetry.sdk.language", "c"));
    add(resource, &at, SRUN_STR("telemetry.sdk.version", SRUN_VERSION_TEXT));
    add(resource, &at, SRUN_INT("process.pid", getpid()));
    add(resource, &at, SRUN_STR("process.executable.name", resource->executable));
    if (resource->host[0] != '\0')
        add(resource, &at, SRUN_STR("host.name", resource->host));
    resource->attributes[at] = SRUN_KV_END_;
    resource->shown =
        (struct telemetry_resource){.attributes = resource->attributes, .schema_url = ""};
    return 0;
}

int resource_make(struct resource *resource, const char *name, const char *version,
                  struct otelenv *env)
{
    *resource = (struct resource){.env = env, .name = strdup(name), .version = strdup(version)};
    return fill(resource);
}

void resource_free(struct resource *resource)
{
    free(resource->attributes);
    free(resource->name);
    free(resource->version);
    if (resource->env != NULL)
        otelenv_free(resource->env);
    free(resource->env);
    *resource = (struct resource){0};
}
