/* SPDX-License-Identifier: MIT
 *
 * What a probe is told: may it live, is it ready, is it healthy; of the program and of each
 * service. Judges a survey. PURE.
 */
#ifndef ADMIN_VERDICT_H
#define ADMIN_VERDICT_H

#include "admin/survey.h"

enum verdict_question {
    VERDICT_HEALTH, /* /health: is it well; a program that drains or stops may be */
    VERDICT_LIVE,   /* /livez: does it move: heartbeats and stuck threads, nothing else */
    VERDICT_READY   /* /ready: may it be sent work */
};

enum verdict_answer {
    VERDICT_OK,
    VERDICT_DEGRADED,
    VERDICT_FAILED,  /* a check says no: 500 */
    VERDICT_NOT_NOW, /* the life cycle says no: 503 */
    VERDICT_EXCLUDED /* of a service: nobody wants to know */
};

struct verdict {
    enum verdict_answer answer;
    bool by_state;            /* why is the state of the program, which everybody may know */
    char why[SURVEY_WHY_MAX]; /* "" when there is nothing to explain */
};

/* Of a service that is left out, and of one that is unwell only because of such a one. */
enum verdict_mark { VERDICT_COUNTS, VERDICT_LEFT_OUT, VERDICT_INFECTED };

/* marks: NULL, or one for each service, VERDICT_LEFT_OUT where it is so; the infected are marked
 * here. */
void verdict_program(const struct survey *survey, enum verdict_question question,
                     enum verdict_mark *marks, struct verdict *out);

/* Of one service, by itself. */
void verdict_service(const struct survey_service *service, enum verdict_question question,
                     struct verdict *out);

#endif
