/* SPDX-License-Identifier: MIT
 *
 * The operator's page: what the server writes between the parts of page/page.html, so that it is
 * complete and readable before, and without, its script. PURE. Threads: any.
 */
#ifndef ADMIN_PAGE_H
#define ADMIN_PAGE_H

#include "admin/survey.h"
#include "base/buf.h"

/* Bytes of the whole page for a program of ten services. */
#define PAGE_MAX 40000

/* Made by tools/compose-page: the parts, and the Content-Security-Policy that lets the page's one
 * style and one script run. */
enum page_part { PAGE_TO_TITLE, PAGE_TO_HEAD, PAGE_TO_VERDICT, PAGE_TO_SERVICES, PAGE_TO_END };
extern const char *const page_parts[PAGE_TO_END + 1];
extern const char page_policy[];

/* All of it. host: the machine's name, or "". */
void page_render(struct buf *out, const struct survey *survey, enum admin_right right,
                 const char *host);

/* Its pieces. */
void page_html(struct buf *out, const char *text); /* escaped: & < > " ' */
void page_duration(struct buf *out, int64_t ms); /* "340 ms", "3.2 s", "5 m 3 s"; nothing for -1 */
void page_services(struct buf *out, const struct survey *survey);

#endif
