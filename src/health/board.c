/* SPDX-License-Identifier: MIT */
#include "health/board.h"

#include "base/duration.h"
#include "base/random.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_NS BOARD_SLOW_NS /* after a check that could not be asked */
#define EXPIRY_INTERVALS 3

struct entry {
    struct board_rules is;
    bool has_dependents;
    bool alive, up; /* in a life; RUNNING */
    bool known;     /* it has a result in this life */
    bool checking, hung, aside;
    bool outlived; /* the check in flight is of an earlier life */
    int64_t asked_at, slow_at, next_at, expires_at;
    unsigned better, worse; /* results in a row beside the present status */
    struct board_view view;
    uint64_t touched; /* the round in which it changed last */
    bool dirty;       /* its change has not been told */
    unsigned place;   /* in the heap */
    int64_t wake;
    unsigned results; /* so far; result n stands at n modulo the size of the ring */
    struct srun_health_result history[SRUN_HEALTH_HISTORY];
};

struct board {
    uint64_t random, round;
    srun_health_status overall;
    bool tell_overall;
    unsigned tally[SRUN_HEALTH_HEALTHY + 1]; /* how many count as what for the overall status */
    unsigned count, dirty_first, dirty_count;
    unsigned *heap;  /* by wake */
    unsigned *dirty; /* a ring */
    struct entry entries[];
};

/* --- when to wake: a heap -------------------------------------------------------------------- */

static void heap_put(struct board *board, unsigned place, unsigned service)
{
    board->heap[place] = service;
    board->entries[service].place = place;
}

static int64_t heap_wake(const struct board *board, unsigned place)
{
    return board->entries[board->heap[place]].wake;
}

static void heap_swap(struct board *board, unsigned a, unsigned b)
{
    unsigned at_a = board->heap[a];
    heap_put(board, a, board->heap[b]);
    heap_put(board, b, at_a);
}

static void heap_sift(struct board *board, unsigned place)
{
    while (place > 0 && heap_wake(board, place) < heap_wake(board, (place - 1) / 2)) {
        heap_swap(board, place, (place - 1) / 2);
        place = (place - 1) / 2;
    }
    for (;;) {
        unsigned least = place;
        for (unsigned child = 2 * place + 1; child <= 2 * place + 2; child++)
            if (child < board->count && heap_wake(board, child) < heap_wake(board, least))
                least = child;
        if (least == place)
            return;
        heap_swap(board, place, least);
        place = least;
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later_by(int64_t time, int64_t span)
{
    int64_t sum;
    return __builtin_add_overflow(time, span, &sum) ? BOARD_NEVER : sum;
}

static int64_t slow_span(const struct entry *entry)
{
    return earlier(BOARD_SLOW_NS, entry->is.timeout_ns / 2 + 1);
}

/* When something may be due without any event. */
static void set_wake(struct board *board, struct entry *entry)
{
    int64_t wake = entry->expires_at;
    if (entry->checking && !entry->aside)
        wake = earlier(wake, entry->slow_at);
    if (entry->checking && !entry->hung)
        wake = earlier(wake, later_by(entry->asked_at, entry->is.timeout_ns));
    if (!entry->checking)
        wake = earlier(wake, entry->next_at);
    if (wake == entry->wake)
        return;
    entry->wake = wake;
    heap_sift(board, entry->place);
}

int64_t board_wake(const struct board *board)
{
    if (board->dirty_count > 0 || board->tell_overall)
        return INT64_MIN;
    return board->count > 0 ? heap_wake(board, 0) : BOARD_NEVER;
}

/* --- what is shown --------------------------------------------------------------------------- */

static void mark_dirty(struct board *board, unsigned service)
{
    struct entry *entry = &board->entries[service];
    if (entry->dirty)
        return;
    entry->dirty = true;
    board->dirty[(board->dirty_first + board->dirty_count++) % board->count] = service;
}

/* What a dependency leaves of a dependent's status; UNKNOWN: it says nothing. */
static srun_health_status cap_of(const struct entry *dependency)
{
    srun_health_status status = dependency->view.status;
    if (status == SRUN_HEALTH_STOPPED)
        status = SRUN_HEALTH_UNHEALTHY;
    if (status == SRUN_HEALTH_UNHEALTHY && dependency->is.optional)
        status = SRUN_HEALTH_DEGRADED;
    return status == SRUN_HEALTH_HEALTHY ? SRUN_HEALTH_UNKNOWN : status;
}

static bool is_worse(srun_health_status status, srun_health_status than)
{
    return status != SRUN_HEALTH_UNKNOWN && (than == SRUN_HEALTH_UNKNOWN || status < than);
}

/* As what it counts for the overall status. That it is stopped is the life cycle's to tell. */
static srun_health_status weight_of(const struct entry *entry)
{
    srun_health_status status = entry->view.status;
    if (status == SRUN_HEALTH_STOPPED)
        return SRUN_HEALTH_UNKNOWN;
    return status == SRUN_HEALTH_UNHEALTHY && entry->is.optional ? SRUN_HEALTH_DEGRADED : status;
}

/* True when what is shown has changed. */
static bool show(struct board *board, struct entry *entry)
{
    srun_health_status status = entry->up ? entry->view.own : SRUN_HEALTH_STOPPED;
    unsigned via = BOARD_NOBODY;
    for (unsigned i = 0; i < entry->is.depend_count && entry->up; i++) {
        srun_health_status cap = cap_of(&board->entries[entry->is.depends[i]]);
        if (is_worse(cap, status)) {
            status = cap;
            via = entry->is.depends[i];
        }
    }
    bool changed = status != entry->view.status || via != entry->view.via;
    board->tally[weight_of(entry)]--;
    entry->view.status = status;
    entry->view.via = via;
    board->tally[weight_of(entry)]++;
    return changed;
}

static srun_health_status overall_of(const struct board *board)
{
    for (unsigned status = SRUN_HEALTH_UNHEALTHY; status <= SRUN_HEALTH_HEALTHY; status++)
        if (board->tally[status] > 0)
            return (srun_health_status)status;
    return SRUN_HEALTH_UNKNOWN;
}

/* What is shown has changed, or how it is explained. */
static void touch(struct board *board, unsigned service)
{
    board->entries[service].touched = board->round;
    board->entries[service].view.changes++;
    mark_dirty(board, service);
}

static bool is_touched(const struct board *board, unsigned service)
{
    return service != BOARD_NOBODY && board->entries[service].touched == board->round;
}

/* Those that depend on it stand behind it. */
static void refresh_dependents(struct board *board, unsigned service)
{
    for (unsigned i = service + 1; i < board->count; i++) {
        struct entry *entry = &board->entries[i];
        bool concerned = false;
        for (unsigned d = 0; d < entry->is.depend_count && !concerned; d++)
            concerned = is_touched(board, entry->is.depends[d]);
        if (concerned && (show(board, entry) || is_touched(board, entry->view.via)))
            touch(board, i);
    }
}

/* A result or the life cycle has changed something of it. */
static void refresh(struct board *board, unsigned service)
{
    struct entry *entry = &board->entries[service];
    board->round++;
    if (!show(board, entry))
        return;
    touch(board, service);
    if (entry->has_dependents)
        refresh_dependents(board, service);
    srun_health_status overall = overall_of(board);
    board->tell_overall |= overall != board->overall;
    board->overall = overall;
}

/* --- results --------------------------------------------------------------------------------- */

static void note_history(struct entry *entry, const struct board_result *result, int64_t now)
{
    struct srun_health_result *slot = &entry->history[entry->results++ % SRUN_HEALTH_HISTORY];
    *slot = (struct srun_health_result){.status = result->status,
                                        .source = result->source,
                                        .time_ms = now / NS_PER_MS,
                                        .took_ms = result->took_ms};
    text_copy(slot->note, sizeof slot->note, result->note);
}

/* True when the result is to be shown, not only noted. */
static bool counts(struct entry *entry, const struct board_result *result, bool at_once)
{
    srun_health_status before = entry->view.own;
    entry->better = result->status > before ? entry->better + 1 : 0;
    entry->worse = result->status < before ? entry->worse + 1 : 0;
    return at_once || !entry->known || result->status == before ||
           entry->better >= entry->is.rise || entry->worse >= entry->is.fall;
}

static void take_result(struct board *board, unsigned service, const struct board_result *result,
                        bool at_once, int64_t now)
{
    struct entry *entry = &board->entries[service];
    note_history(entry, result, now);
    if (counts(entry, result, at_once)) {
        entry->view.own = result->status;
        entry->view.source = result->source;
        entry->view.at = now;
        entry->view.took_ms = result->took_ms;
        text_copy(entry->view.note, sizeof entry->view.note, result->note);
        entry->known = true;
        entry->better = entry->worse = 0;
    }
    refresh(board, service);
}

/* Of what found out about itself that it knows nothing new. */
static void take_silence(struct board *board, unsigned service, srun_health_source source,
                         int64_t now)
{
    const struct entry *entry = &board->entries[service];
    char note[SRUN_HEALTH_NOTE_MAX];
    int64_t span = source == SRUN_HEALTH_HUNG ? now - entry->asked_at : now - entry->view.at;
    (void)snprintf(note, sizeof note,
                   source == SRUN_HEALTH_HUNG ? "the check has not answered for %lld ms"
                                              : "the last result is %lld ms old",
                   (long long)(span / NS_PER_MS));
    take_result(board, service,
                &(struct board_result){
                    .status = SRUN_HEALTH_UNHEALTHY, .source = source, .took_ms = -1, .note = note},
                true, now);
}

/* The checks of many services spread. */
static int64_t next_check(struct board *board, const struct entry *entry, int64_t now)
{
    return later_by(now, random_near(&board->random, entry->is.interval_ns));
}

bool board_answered(struct board *board, unsigned service, const struct board_result *result,
                    int64_t now)
{
    struct entry *entry = &board->entries[service];
    if (!entry->checking)
        return false;
    bool counted = entry->alive && !entry->outlived && result != NULL;
    if (counted) {
        if (entry->next_at < now) /* it took longer than the interval */
            entry->next_at = next_check(board, entry, now);
        entry->expires_at = later_by(now, EXPIRY_INTERVALS * entry->is.interval_ns);
        take_result(board, service, result, false, now);
    } else if (entry->alive && !entry->outlived) {
        entry->next_at = later_by(now, earlier(RETRY_NS, entry->is.interval_ns));
    }
    entry->checking = entry->hung = entry->aside = entry->outlived = false;
    entry->view.next_at = entry->next_at;
    set_wake(board, entry);
    return counted;
}

void board_pushed(struct board *board, unsigned service, const struct board_result *result,
                  int64_t now)
{
    struct entry *entry = &board->entries[service];
    if (!entry->alive)
        return;
    entry->expires_at =
        entry->is.push_ttl_ns > 0 ? later_by(now, entry->is.push_ttl_ns) : BOARD_NEVER;
    take_result(board, service, result, true, now);
    set_wake(board, entry);
}

void board_not_begun(struct board *board, unsigned service, int64_t now)
{
    struct entry *entry = &board->entries[service];
    if (entry->checking && !entry->hung)
        entry->asked_at = now;
    set_wake(board, entry);
}

void board_set_aside(struct board *board, unsigned service)
{
    board->entries[service].aside = true;
    set_wake(board, &board->entries[service]);
}

/* --- lives ----------------------------------------------------------------------------------- */

void board_begin(struct board *board, unsigned service)
{
    struct entry *entry = &board->entries[service];
    entry->alive = true;
    entry->outlived = entry->checking;
    entry->up = entry->known = false;
    entry->better = entry->worse = 0;
    entry->next_at = entry->expires_at = BOARD_NEVER;
    entry->view.own = SRUN_HEALTH_UNKNOWN;
    entry->view.source = SRUN_HEALTH_LIFECYCLE;
    entry->view.at = entry->view.next_at = BOARD_NEVER;
    entry->view.took_ms = -1;
    entry->view.note[0] = '\0';
    set_wake(board, entry);
}

void board_ask(struct board *board, unsigned service, int64_t now)
{
    struct entry *entry = &board->entries[service];
    if (!entry->alive || !entry->is.has_check)
        return;
    entry->next_at = entry->view.next_at = now;
    set_wake(board, entry);
}

void board_up(struct board *board, unsigned service, int64_t now)
{
    struct entry *entry = &board->entries[service];
    entry->up = true;
    if (entry->next_at == BOARD_NEVER)
        board_ask(board, service, now);
    refresh(board, service);
}

void board_down(struct board *board, unsigned service, int64_t now)
{
    struct entry *entry = &board->entries[service];
    bool was_up = entry->up;
    entry->alive = entry->up = false;
    entry->next_at = entry->view.next_at = entry->expires_at = BOARD_NEVER;
    entry->aside = true; /* who waits for its end watches over it */
    entry->hung = true;
    if (was_up) {
        entry->view.own = SRUN_HEALTH_STOPPED;
        entry->view.source = SRUN_HEALTH_LIFECYCLE;
        entry->view.at = now;
        entry->view.took_ms = -1;
        entry->view.note[0] = '\0';
        refresh(board, service);
    }
    set_wake(board, entry);
}

/* --- what to do next ------------------------------------------------------------------------- */

static bool tell_change(struct board *board, struct board_action *out)
{
    if (board->dirty_count > 0) {
        unsigned service = board->dirty[board->dirty_first];
        board->dirty_first = (board->dirty_first + 1) % board->count;
        board->dirty_count--;
        board->entries[service].dirty = false;
        *out = (struct board_action){BOARD_CHANGED, service};
        return true;
    }
    if (!board->tell_overall)
        return false;
    board->tell_overall = false;
    *out = (struct board_action){BOARD_OVERALL, BOARD_NOBODY};
    return true;
}

static bool tell(struct board *board, struct entry *entry, enum board_action_kind kind,
                 struct board_action *out)
{
    set_wake(board, entry);
    *out = (struct board_action){kind, (unsigned)(entry - board->entries)};
    return true;
}

/* What is due of the entry that has waited longest; true with an action for the owner. */
static bool do_due(struct board *board, struct entry *entry, int64_t now, struct board_action *out)
{
    unsigned service = (unsigned)(entry - board->entries);
    if (entry->checking && !entry->hung && now >= later_by(entry->asked_at, entry->is.timeout_ns)) {
        entry->hung = true;
        entry->expires_at = BOARD_NEVER; /* it could not become any staler */
        take_silence(board, service, SRUN_HEALTH_HUNG, now);
        return tell(board, entry, BOARD_HUNG, out);
    }
    if (entry->checking && !entry->aside && now >= entry->slow_at) {
        entry->slow_at = later_by(now, slow_span(entry));
        return tell(board, entry, BOARD_SLOW, out);
    }
    if (!entry->checking && now >= entry->next_at) {
        entry->checking = true;
        entry->hung = entry->aside = false;
        entry->asked_at = now;
        entry->slow_at = later_by(now, slow_span(entry));
        if (now - entry->next_at >= entry->is.interval_ns)
            entry->expires_at = later_by(entry->expires_at, now - entry->next_at);
        entry->next_at = next_check(board, entry, now);
        entry->view.next_at = entry->next_at;
        return tell(board, entry, BOARD_CHECK, out);
    }
    if (now >= entry->expires_at) { /* GCOV_EXCL_BR_LINE: else nothing was due */
        entry->expires_at = BOARD_NEVER;
        take_silence(board, service, SRUN_HEALTH_STALE, now);
    }
    set_wake(board, entry);
    return false;
}

bool board_next(struct board *board, int64_t now, struct board_action *out)
{
    for (;;) {
        if (tell_change(board, out))
            return true;
        if (board->count == 0 || heap_wake(board, 0) > now)
            return false;
        if (do_due(board, &board->entries[board->heap[0]], now, out))
            return true;
    }
}

/* --- making and showing ---------------------------------------------------------------------- */

struct board *board_new(const struct board_rules *rules, unsigned count, uint64_t seed)
{
    struct board *board = calloc(1, sizeof *board + count * sizeof board->entries[0]);
    unsigned *heap = calloc((size_t)count + 1, sizeof *heap);
    unsigned *dirty = calloc((size_t)count + 1, sizeof *dirty);
    if (board == NULL || heap == NULL || dirty == NULL) {
        free(board);
        free(heap);
        free(dirty);
        return NULL;
    }
    board->random = seed;
    board->overall = SRUN_HEALTH_UNKNOWN;
    board->count = count;
    board->heap = heap;
    board->dirty = dirty;
    for (unsigned i = 0; i < count; i++) {
        struct entry *entry = &board->entries[i];
        entry->is = rules[i];
        entry->next_at = entry->expires_at = entry->wake = BOARD_NEVER;
        entry->view = (struct board_view){.status = SRUN_HEALTH_STOPPED,
                                          .own = SRUN_HEALTH_STOPPED,
                                          .at = BOARD_NEVER,
                                          .next_at = BOARD_NEVER,
                                          .took_ms = -1,
                                          .via = BOARD_NOBODY};
        heap_put(board, i, i);
        for (unsigned d = 0; d < rules[i].depend_count; d++)
            board->entries[rules[i].depends[d]].has_dependents = true;
    }
    board->tally[SRUN_HEALTH_UNKNOWN] = count;
    return board;
}

struct board *board_free(struct board *board)
{
    if (board == NULL)
        return NULL;
    free(board->heap);
    free(board->dirty);
    free(board);
    return NULL;
}

const struct board_view *board_view(const struct board *board, unsigned service)
{
    return &board->entries[service].view;
}

srun_health_status board_overall(const struct board *board)
{
    return board->overall;
}

bool board_is_checking(const struct board *board, unsigned service)
{
    return board->entries[service].checking;
}

void board_path(const struct board *board, unsigned service, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (unsigned via = board->entries[service].view.via; via != BOARD_NOBODY && used < size;
         via = board->entries[via].view.via) {
        int length = snprintf(out + used, size - used, "%s%s", used > 0 ? " -> " : "",
                              board->entries[via].is.name);
        used += length > 0 ? (size_t)length : 0;
    }
}

size_t board_history(const struct board *board, unsigned service, int64_t wall_offset_ms,
                     struct srun_health_result *out, size_t capacity)
{
    const struct entry *entry = &board->entries[service];
    size_t count = entry->results < SRUN_HEALTH_HISTORY ? entry->results : SRUN_HEALTH_HISTORY;
    size_t wanted = count < capacity ? count : capacity;
    for (size_t i = 0; i < wanted; i++) {
        out[i] = entry->history[(entry->results - wanted + i) % SRUN_HEALTH_HISTORY];
        out[i].time_ms += wall_offset_ms;
    }
    return count;
}
