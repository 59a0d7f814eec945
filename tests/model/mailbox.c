/* SPDX-License-Identifier: MIT
 *
 * Every order of events for the mailboxes of health: up to three services whose status changes,
 * which is told to all a little later, and two who watch some of them, take when they like, and
 * hear in the end that nothing more will come.
 * By breadth, so the first order that breaks a promise is a shortest one, and it is printed. Beside
 * each mailbox stands a plain list of what has to be told.
 */
#include "health/mailbox.h"

#include "base/ensure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SOURCES = 3, WATCHERS = 2, NOT_KNOWN = 2 };
enum { WATCHED_MAX = 3 }; /* by both together: they have nothing to do with each other */
enum { STATES_MAX = 1 << 18, SLOTS = 1 << 20 };

/* Bytes only, so that two can be compared. The first half is a mailbox, the other what must be. */
struct watcher {
    unsigned char first, waiting, ring[SOURCES], flags[SOURCES], seen[SOURCES];
    unsigned char told_count, told[SOURCES]; /* changed, and not taken; in this order */
    unsigned char known[SOURCES];            /* the status that it took last */
    unsigned char heard_close;
};

struct world {
    unsigned char status[SOURCES]; /* 0 or 1 */
    unsigned char untold[SOURCES]; /* it has changed, and nobody was told */
    unsigned char closed;
    struct watcher watchers[WATCHERS];
};

enum step_kind { STEP_CHANGE, STEP_TELL, STEP_TAKE, STEP_ALL, STEP_CLOSE };

struct step {
    unsigned char kind, who; /* a source, a watcher, or nobody */
};

struct node {
    struct world world;
    struct step step;
    unsigned before;
};

static unsigned sources;
static unsigned char watched[WATCHERS]; /* bit n: source n */
static struct node nodes[STATES_MAX];
static unsigned slots[SLOTS]; /* 0, or a node and 1 */
static unsigned node_count;
static const char *violation;

static void must(bool truth, const char *promise)
{
    if (!truth && violation == NULL)
        violation = promise;
}

static bool watches(unsigned who, unsigned source)
{
    return (watched[who] >> source & 1) != 0;
}

/* --- a mailbox out of bytes, and back -------------------------------------------------------- */

static void open_box(struct mailbox *box, unsigned who)
{
    ENSURE(mailbox_init(box, sources) == 0);
    for (unsigned i = 0; i < sources; i++)
        if (watches(who, i))
            mailbox_watch(box, i);
}

static void load(struct mailbox *box, const struct watcher *w)
{
    box->first = w->first;
    box->waiting = w->waiting;
    for (unsigned i = 0; i < sources; i++) {
        box->ring[i] = w->ring[i];
        box->flags[i] = w->flags[i];
        box->seen[i] = w->seen[i];
    }
}

static void save(const struct mailbox *box, struct watcher *w)
{
    w->first = (unsigned char)box->first;
    w->waiting = (unsigned char)box->waiting;
    for (unsigned i = 0; i < sources; i++) {
        w->ring[i] = (unsigned char)box->ring[i];
        w->flags[i] = box->flags[i];
        w->seen[i] = (unsigned char)box->seen[i];
    }
}

/* --- what happens, in the mailbox and in the list -------------------------------------------- */

static bool is_told(const struct watcher *w, unsigned source)
{
    return memchr(w->told, (int)source, w->told_count) != NULL;
}

/* A status stands for how often it has changed: no two changes are untold. */
static void mark(const struct world *world, struct mailbox *box, struct watcher *w, unsigned who,
                 unsigned source)
{
    bool news = watches(who, source) && w->known[source] != world->status[source];
    bool again = news && is_told(w, source);
    bool was_empty = w->told_count == 0;
    if (news && !again)
        w->told[w->told_count++] = (unsigned char)source;
    box->missed = 0;
    bool wakes = mailbox_mark(box, source, world->status[source]);
    must(wakes == (was_empty && w->told_count == 1), "who waits is woken when there is a first");
    must(box->missed == again, "what is overtaken is counted, and nothing else");
}

static void mark_all(struct mailbox *box, struct watcher *w, unsigned who)
{
    for (unsigned i = 0; i < sources; i++)
        if (watches(who, i) && !is_told(w, i))
            w->told[w->told_count++] = (unsigned char)i;
    box->missed = 0;
    mailbox_mark_all(box);
    must(box->missed == 0, "a snapshot overtakes nothing");
}

static void take(const struct world *world, struct mailbox *box, struct watcher *w)
{
    unsigned source = SOURCES;
    bool any = mailbox_take(box, &source);
    must(any == (w->told_count > 0), "it gives what there is");
    if (!any) {
        w->heard_close = world->closed;
        return;
    }
    must(source == w->told[0], "in the order of the first change");
    must(!w->heard_close, "nothing comes after the end");
    mailbox_saw(box, source, world->status[source]);
    w->known[source] = world->status[source];
    w->told_count--;
    memmove(w->told, w->told + 1, w->told_count);
    w->told[w->told_count] = 0;
}

static void look(const struct world *world, const struct mailbox *box, const struct watcher *w,
                 unsigned who)
{
    must(box->waiting == w->told_count, "it holds as many as have to be told");
    for (unsigned i = 0; i < sources; i++) {
        must(mailbox_watches(box, i) == watches(who, i), "it knows what it watches");
        must(is_told(w, i) || !watches(who, i) || world->untold[i] != 0 ||
                 w->known[i] == world->status[i],
             "who has taken all knows the last status of each");
    }
}

static void happen(struct world *world, const struct step *step)
{
    if (step->kind == STEP_CHANGE)
        world->status[step->who] ^= 1;
    if (step->kind == STEP_CHANGE || step->kind == STEP_TELL)
        world->untold[step->who] = step->kind == STEP_CHANGE;
    world->closed |= step->kind == STEP_CLOSE;
    for (unsigned who = 0; who < WATCHERS; who++) {
        struct watcher *w = &world->watchers[who];
        struct mailbox box;
        open_box(&box, who);
        load(&box, w);
        if (step->kind == STEP_TELL)
            mark(world, &box, w, who, step->who);
        else if (step->kind == STEP_TAKE && step->who == who)
            take(world, &box, w);
        else if (step->kind == STEP_ALL && step->who == who)
            mark_all(&box, w, who);
        look(world, &box, w, who);
        save(&box, w);
        mailbox_free(&box);
    }
}

/* Each watcher begins with how all are. */
static struct world begin(void)
{
    struct world world = {0};
    for (unsigned who = 0; who < WATCHERS; who++) {
        struct watcher *w = &world.watchers[who];
        struct mailbox box;
        memset(w->known, NOT_KNOWN, sizeof w->known);
        open_box(&box, who);
        memset(box.seen, 0xff, sources * sizeof *box.seen);
        mark_all(&box, w, who);
        look(&world, &box, w, who);
        save(&box, w);
        mailbox_free(&box);
    }
    return world;
}

/* --- all orders ------------------------------------------------------------------------------ */

static void visit(const struct world *world, unsigned before, const struct step *step)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < sizeof *world; i++)
        hash = (hash ^ ((const unsigned char *)world)[i]) * UINT64_C(0x100000001b3);
    unsigned slot = (unsigned)(hash >> 32) % SLOTS;
    for (; slots[slot] != 0; slot = (slot + 1) % SLOTS)
        if (memcmp(&nodes[slots[slot] - 1].world, world, sizeof *world) == 0)
            return;
    ENSURE(node_count < STATES_MAX);
    nodes[node_count] = (struct node){*world, *step, before};
    slots[slot] = ++node_count;
}

static void explain(unsigned node, const struct step *last)
{
    static const char *const names[] = {"changes", "is told", "takes", "is told of all", "the end"};
    unsigned way[64], n = 0;
    for (; node != 0 && n < 64; node = nodes[node].before)
        way[n++] = node;
    (void)printf("VIOLATION: %s; the shortest order:\n", violation);
    while (n-- > 0)
        (void)printf("    %u %s\n", nodes[way[n]].step.who, names[nodes[way[n]].step.kind]);
    (void)printf("    %u %s\n", last->who, names[last->kind]);
}

static void try(unsigned from, enum step_kind kind, unsigned who)
{
    struct step step = {(unsigned char)kind, (unsigned char)who};
    struct world world = nodes[from].world;
    if (violation != NULL)
        return;
    happen(&world, &step);
    if (violation != NULL)
        explain(from, &step);
    else
        visit(&world, from, &step);
}

static bool explore(void)
{
    const struct step none = {0};
    violation = NULL;
    node_count = 0;
    memset(slots, 0, sizeof slots);
    struct world first = begin();
    visit(&first, 0, &none);
    for (unsigned from = 0; from < node_count && violation == NULL; from++) {
        bool closed = nodes[from].world.closed != 0;
        for (unsigned i = 0; i < sources && !closed; i++)
            try(from, nodes[from].world.untold[i] != 0 ? STEP_TELL : STEP_CHANGE, i);
        for (unsigned who = 0; who < WATCHERS; who++) {
            try(from, STEP_TAKE, who);
            if (!closed)
                try(from, STEP_ALL, who);
        }
        if (!closed)
            try(from, STEP_CLOSE, 0);
    }
    return violation == NULL;
}

int main(void)
{
    unsigned passed = 0, broken = 0;
    unsigned long long states = 0;
    for (sources = 0; sources <= SOURCES; sources++)
        for (unsigned pair = 0; pair < 1U << 2 * sources; pair++) {
            watched[0] = (unsigned char)(pair & ((1U << sources) - 1));
            watched[1] = (unsigned char)(pair >> sources);
            if (__builtin_popcount(pair) > WATCHED_MAX)
                continue;
            bool ok = explore();
            passed += ok;
            broken += !ok;
            states += node_count;
            if (!ok)
                (void)printf("  %u services, watched %x and %x\n", sources, watched[0], watched[1]);
        }
    (void)printf("%llu states\n", states);
    (void)printf("model.mailbox: %u passed, %u failed\n", passed, broken);
    return broken == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
