/* SPDX-License-Identifier: MIT
 *
 * The table of the life of a service, cell by cell against the arrows of the specification, and
 * the picture in docs/lifecycle.md, arrow by arrow against the table.
 */
#include "harness.h"
#include "lifecycle.h"

#include <stdio.h>
#include <string.h>

static const char *const names[LIFECYCLE_STATES] = {
    [SRUN_STOPPED] = "STOPPED",     [SRUN_INITIATING] = "INITIATING",
    [SRUN_INITIATED] = "INITIATED", [SRUN_STARTING] = "STARTING",
    [SRUN_RUNNING] = "RUNNING",     [SRUN_SHUTTING_DOWN] = "SHUTTING_DOWN"};

/* One line for each arrow there is; all other cells have to be refused. */
static const struct {
    srun_state from;
    enum lifecycle_event event;
    srun_state to;
} arrows[] = {
    {SRUN_STOPPED, LIFECYCLE_INIT, SRUN_INITIATING},
    {SRUN_INITIATING, LIFECYCLE_INIT_DONE, SRUN_INITIATED},
    {SRUN_INITIATED, LIFECYCLE_RUN, SRUN_STARTING},
    {SRUN_STARTING, LIFECYCLE_READY, SRUN_RUNNING},
    {SRUN_INITIATING, LIFECYCLE_STOP, SRUN_SHUTTING_DOWN},
    {SRUN_INITIATED, LIFECYCLE_STOP, SRUN_SHUTTING_DOWN},
    {SRUN_STARTING, LIFECYCLE_STOP, SRUN_SHUTTING_DOWN},
    {SRUN_RUNNING, LIFECYCLE_STOP, SRUN_SHUTTING_DOWN},
    {SRUN_SHUTTING_DOWN, LIFECYCLE_STOP_DONE, SRUN_STOPPED},
};
#define ARROWS (sizeof arrows / sizeof arrows[0])

static int drawn(srun_state from, enum lifecycle_event event)
{
    for (size_t i = 0; i < ARROWS; i++)
        if (arrows[i].from == from && arrows[i].event == event)
            return (int)arrows[i].to;
    return -1;
}

START_TEST(takes_each_drawn_edge_and_refuses_all_others)
    {
        for (int state = 0; state < LIFECYCLE_STATES; state++)
            for (int event = 0; event < LIFECYCLE_EVENTS; event++) {
                int to = lifecycle_next((srun_state)state, (enum lifecycle_event)event);
                ck_assert_msg(to == drawn((srun_state)state, (enum lifecycle_event)event),
                              "state %s, event %d: %d", names[state], event, to);
            }
    }
END_TEST

START_TEST(leads_from_every_state_back_to_stopped)
    {
        for (int state = 0; state < LIFECYCLE_STATES; state++) {
            int now = state;
            if (now != SRUN_STOPPED && now != SRUN_SHUTTING_DOWN)
                now = lifecycle_next((srun_state)now, LIFECYCLE_STOP);
            if (now != SRUN_STOPPED) {
                ck_assert_int_eq(now, SRUN_SHUTTING_DOWN);
                now = lifecycle_next((srun_state)now, LIFECYCLE_STOP_DONE);
            }
            ck_assert_int_eq(now, SRUN_STOPPED);
        }
    }
END_TEST

START_TEST(lets_a_stopped_service_start_again)
    {
        static const enum lifecycle_event life[] = {LIFECYCLE_INIT, LIFECYCLE_INIT_DONE,
                                                    LIFECYCLE_RUN,  LIFECYCLE_READY,
                                                    LIFECYCLE_STOP, LIFECYCLE_STOP_DONE};
        int state = SRUN_STOPPED;
        for (unsigned i = 0; i < 12; i++) {
            state = lifecycle_next((srun_state)state, life[i % 6]);
            ck_assert_int_ge(state, 0);
        }
        ck_assert_int_eq(state, SRUN_STOPPED);
    }
END_TEST

START_TEST(spells_each_state_in_one_way)
    {
        for (int state = 0; state < LIFECYCLE_STATES; state++)
            ck_assert_str_eq(srun_state_name((srun_state)state), names[state]);
    }
END_TEST

static int state_named(const char *name)
{
    for (int state = 0; state < LIFECYCLE_STATES; state++)
        if (strcmp(names[state], name) == 0)
            return state;
    return -1;
}

/* Does the table lead from one to the other, by whichever event? */
static bool table_leads(int from, int to)
{
    for (int event = 0; event < LIFECYCLE_EVENTS; event++)
        if (lifecycle_next((srun_state)from, (enum lifecycle_event)event) == to)
            return true;
    return false;
}

/* Moves to the line after "stateDiagram-v2" of the first such mermaid block. */
static bool find_picture(FILE *page)
{
    char line[512], word[64];
    bool in_mermaid = false;
    while (fgets(line, sizeof line, page) != NULL) {
        if (sscanf(line, " %63s", word) != 1)
            continue;
        if (strncmp(word, "```", 3) == 0)
            in_mermaid = strcmp(word, "```mermaid") == 0;
        else if (in_mermaid && strcmp(word, "stateDiagram-v2") == 0)
            return true;
    }
    return false;
}

/* Reads "FROM --> TO : label" up to the end of the block; [*] is the page's margin, no state. */
static void read_picture(FILE *page, bool picture[LIFECYCLE_STATES][LIFECYCLE_STATES])
{
    char line[512], from[64], to[64];
    while (fgets(line, sizeof line, page) != NULL && strstr(line, "```") == NULL) {
        if (strstr(line, "-->") == NULL)
            continue;
        ck_assert_msg(sscanf(line, " %63s --> %63[^ :\t\r\n]", from, to) == 2,
                      "docs/lifecycle.md: no arrow: %s", line);
        if (strcmp(from, "[*]") == 0 || strcmp(to, "[*]") == 0) {
            ck_assert_msg(strcmp(from, "STOPPED") == 0 || strcmp(to, "STOPPED") == 0,
                          "docs/lifecycle.md: only STOPPED is first and last: %s", line);
            continue;
        }
        int a = state_named(from), b = state_named(to);
        ck_assert_msg(a >= 0 && b >= 0, "docs/lifecycle.md: no state: %s", line);
        ck_assert_msg(!picture[a][b], "docs/lifecycle.md: drawn twice: %s", line);
        picture[a][b] = true;
    }
}

START_TEST(is_the_table_that_the_page_draws)
    {
        static const char path[] = SRUN_SOURCE_DIR "/docs/lifecycle.md";
        bool picture[LIFECYCLE_STATES][LIFECYCLE_STATES] = {0};
        FILE *page = fopen(path, "re");
        ck_assert_msg(page != NULL, "%s cannot be read", path);
        bool found = find_picture(page);
        if (found)
            read_picture(page, picture);
        (void)fclose(page); /* only read */
        ck_assert_msg(found, "%s has no mermaid block with a stateDiagram-v2", path);
        for (int from = 0; from < LIFECYCLE_STATES; from++)
            for (int to = 0; to < LIFECYCLE_STATES; to++)
                ck_assert_msg(picture[from][to] == table_leads(from, to), "%s --> %s is %s",
                              names[from], names[to],
                              picture[from][to] ? "drawn, but not in the table"
                                                : "in the table, but not drawn");
    }
END_TEST

int main(void)
{
    return HARNESS("lifecycle", takes_each_drawn_edge_and_refuses_all_others,
                   leads_from_every_state_back_to_stopped, lets_a_stopped_service_start_again,
                   spells_each_state_in_one_way, is_the_table_that_the_page_draws);
}
