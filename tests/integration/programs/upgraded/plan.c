/* SPDX-License-Identifier: MIT */
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct plan_listener *add(struct plan *plan)
{
    if (plan->count == PLAN_LISTENERS)
        abort();
    return &plan->listeners[plan->count++];
}

static void add_many(struct plan *plan, int count)
{
    for (int i = 0; i < count; i++) {
        struct plan_listener *listener = add(plan);
        (void)snprintf(listener->name, sizeof listener->name, "many-%d", i);
        (void)snprintf(listener->address, sizeof listener->address, "tcp://127.0.0.1:0");
    }
}

static void add_listener(struct plan *plan, const char *text)
{
    struct plan_listener *listener = add(plan);
    int found = sscanf(text, "%127s %127s %o %d %d", listener->name, listener->address,
                       &listener->mode, &listener->backlog, &listener->v6only);
    if (found < 2)
        abort();
}

static void take_line(struct plan *plan, const char *key, const char *value)
{
    const struct {
        const char *key;
        char *text;
    } texts[] = {{"version", plan->version}, {"name", plan->name},   {"fail", plan->fail},
                 {"wait", plan->wait},       {"queue", plan->queue}, {"chdir", plan->folder}};
    const struct {
        const char *key;
        int *number;
    } numbers[] = {
        {"nofile", &plan->nofile}, {"exit", &plan->leave}, {"services", &plan->services}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strcmp(key, texts[i].key) == 0)
            (void)snprintf(texts[i].text, PLAN_WORD, "%s", value);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (strcmp(key, numbers[i].key) == 0)
            *numbers[i].number = atoi(value);
    if (strcmp(key, "listen") == 0)
        add_listener(plan, value);
    else if (strcmp(key, "many") == 0)
        add_many(plan, atoi(value));
    else if (strcmp(key, "keep") == 0)
        plan->keep = 1;
    else if (strcmp(key, "finish") == 0)
        plan->finish = 1;
    else if (strcmp(key, "early") == 0)
        plan->early = 1;
    else if (strcmp(key, "extend") == 0)
        plan->extend_ms = atoll(value);
}

void plan_read(struct plan *plan, const char *path)
{
    char line[512];
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    (void)snprintf(plan->version, sizeof plan->version, "%s", PROGRAM_VERSION);
    (void)snprintf(plan->name, sizeof plan->name, "upgraded");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *space = strchr(line, ' ');
        if (space != NULL)
            *space++ = '\0';
        take_line(plan, line, space != NULL ? space : "");
    }
    if (file != NULL)
        (void)fclose(file);
    if (plan->count == 0)
        add_listener(plan, "web tcp://127.0.0.1:0");
}
