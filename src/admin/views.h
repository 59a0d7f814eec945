/* SPDX-License-Identifier: MIT
 *
 * The tables: each as text in columns and as JSON at the same URL, and as a part of /status.json.
 * Threads: the connection's.
 */
#ifndef ADMIN_VIEWS_H
#define ADMIN_VIEWS_H

#include "admin/exchange.h"
#include "admin/routes.h"
#include "admin/survey.h"
#include "base/json.h"

admin_view services_view, history_view;  /* views_services.c */
admin_view config_view, flags_view;      /* views_settings.c */
admin_view build_view, generations_view; /* views_program.c */
admin_view threads_view, timeline_view;  /* views_activity.c */
admin_view captures_view;                /* views_captures.c */
admin_view status_view;                  /* status.c */

/* Each adds a member of that name: an array. */
void services_json(struct json *json, const struct survey *survey, bool history);
void config_json(struct json *json, const struct admin_host *host);
void flags_json(struct json *json, const struct admin_host *host);
void generations_json(struct json *json, const struct survey *survey);
void threads_json(struct json *json);
void timeline_json(struct json *json, const struct admin_host *host);
void captures_json(struct json *json, const struct admin_host *host);

/* Closes what exchange_json has opened. 0, for a view's last line. */
int views_end_json(srun_admin_exchange *exchange, struct json *json);

#endif
