/* SPDX-License-Identifier: MIT
 *
 * The table of what has a name; what comes in, what is kept, and what is handed on. Under the lock
 * are only calls that end at once: whatever touches the file system happens outside.
 */
#include "upgrade/sockets_entry.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define FD_LEAST 3         /* a copy never becomes a standard stream */
#define NAMELESS "unknown" /* sd_listen_fds_with_names(3) */

void sockets_init(struct sockets *sockets)
{
    memset(sockets, 0, sizeof *sockets);
    (void)pthread_mutex_init(&sockets->turn, NULL); /* with these attributes glibc cannot fail */
    (void)pthread_mutex_init(&sockets->lock, NULL);
    sockets->dead = -1;
}

struct sockets_entry *sockets_entry_new(const struct handover_entry *as)
{
    struct sockets_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->as = *as;
    entry->fd = -1;
    entry->gate = -1;
    return entry;
}

/* As long as copies of the listener live elsewhere, closing it here does not take it out of the
 * poller, which would go on to report it. */
static void close_gate(struct sockets_entry *entry)
{
    if (entry->gate < 0)
        return;
    (void)epoll_ctl(entry->gate, EPOLL_CTL_DEL, entry->fd, NULL); /* ENOENT: it was let go */
    (void)close(entry->gate);
}

void sockets_dispose(struct sockets_entry *entry, bool with_path)
{
    if (with_path)
        bind_unlink(&entry->bound,
                    &(struct bind_path){.device = entry->as.device, .inode = entry->as.inode});
    close_gate(entry);
    if (entry->fd >= 0)
        (void)close(entry->fd);
    free(entry);
}

int sockets_reserve_locked(struct sockets *sockets, size_t more)
{
    size_t wanted = sockets->count + more;
    if (wanted <= sockets->capacity)
        return 0;
    size_t capacity = wanted < 8 ? 8 : wanted * 2;
    struct sockets_entry **entries = realloc(sockets->entries, capacity * sizeof(void *));
    if (entries == NULL)
        return -ENOMEM;
    sockets->entries = entries;
    sockets->capacity = capacity;
    return 0;
}

/* FNV-1a. */
static size_t chain_of(const char *name, uint32_t index)
{
    uint32_t hash = 2166136261U ^ index;
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619U;
    return (hash ^ hash >> 16) & (SOCKETS_CHAINS - 1);
}

static void link_locked(struct sockets *sockets, struct sockets_entry *entry)
{
    struct sockets_entry **end = &sockets->chains[chain_of(entry->as.name, entry->as.index)];
    while (*end != NULL)
        end = &(*end)->next;
    *end = entry;
    entry->next = NULL;
}

static void unlink_locked(struct sockets *sockets, struct sockets_entry *entry)
{
    struct sockets_entry **at = &sockets->chains[chain_of(entry->as.name, entry->as.index)];
    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
}

struct sockets_entry *sockets_named_locked(const struct sockets *sockets, const char *name,
                                           uint32_t index, const struct sockets_entry *after)
{
    struct sockets_entry *entry =
        after != NULL ? after->next : sockets->chains[chain_of(name, index)];
    while (entry != NULL && (entry->as.index != index || strcmp(entry->as.name, name) != 0))
        entry = entry->next;
    return entry;
}

void sockets_rename_locked(struct sockets *sockets, struct sockets_entry *entry, const char *name,
                           uint32_t index)
{
    unlink_locked(sockets, entry);
    (void)snprintf(entry->as.name, sizeof entry->as.name, "%s", name);
    entry->as.index = index;
    link_locked(sockets, entry);
}

void sockets_append_locked(struct sockets *sockets, struct sockets_entry *entry)
{
    sockets->entries[sockets->count++] = entry;
    if (entry->as.kind == HANDOVER_LISTENER)
        link_locked(sockets, entry);
    sockets->any_outside |= entry->as.outside != 0;
}

void sockets_remove_locked(struct sockets *sockets, struct sockets_entry *entry)
{
    size_t at = 0;
    while (sockets->entries[at] != entry)
        at++;
    sockets->count--;
    memmove(&sockets->entries[at], &sockets->entries[at + 1],
            (sockets->count - at) * sizeof(void *));
    sockets->due -= entry->due;
    if (entry->as.kind == HANDOVER_LISTENER)
        unlink_locked(sockets, entry);
    if (sockets_find(sockets, entry->fd) == entry)
        sockets_index_locked(sockets, entry->fd, NULL);
}

int sockets_index_reserve_locked(struct sockets *sockets, int fd)
{
    if (fd >= SOCKETS_PAGES * SOCKETS_PAGE)
        return -EMFILE;
    if (atomic_load(&sockets->pages[fd / SOCKETS_PAGE]) != NULL)
        return 0;
    struct sockets_page *page = calloc(1, sizeof *page);
    if (page == NULL)
        return -ENOMEM;
    atomic_store(&sockets->pages[fd / SOCKETS_PAGE], page);
    return 0;
}

void sockets_index_locked(struct sockets *sockets, int fd, struct sockets_entry *entry)
{
    struct sockets_page *page = atomic_load(&sockets->pages[fd / SOCKETS_PAGE]);
    atomic_store(&page->slots[fd % SOCKETS_PAGE], entry);
}

bool sockets_owns_path_locked(const struct sockets *sockets, const struct sockets_entry *entry)
{
    bool may = sockets->in_office || (entry->made && !entry->handed_on);
    return may && !entry->let_go && entry->as.outside == 0 && entry->as.kind == HANDOVER_LISTENER;
}

/* Who calls this is the last one, and needs no lock. */
void sockets_destroy(struct sockets *sockets)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct sockets_entry *entry = sockets->entries[i];
        sockets_dispose(entry, sockets_owns_path_locked(sockets, entry));
    }
    free(sockets->entries);
    for (size_t i = 0; i < SOCKETS_PAGES; i++)
        free(atomic_load(&sockets->pages[i]));
    if (sockets->dead >= 0)
        (void)close(sockets->dead);
    (void)pthread_mutex_destroy(&sockets->lock);
    (void)pthread_mutex_destroy(&sockets->turn);
    memset(sockets, 0, sizeof *sockets);
    sockets->dead = -1;
}

void sockets_set_office(struct sockets *sockets, bool in_office)
{
    pthread_mutex_lock(&sockets->lock);
    sockets->in_office = in_office;
    pthread_mutex_unlock(&sockets->lock);
}

/* --- what comes in --------------------------------------------------------------------------- */

static int append(struct sockets *sockets, struct sockets_entry *entry)
{
    pthread_mutex_lock(&sockets->lock);
    int rc = sockets_reserve_locked(sockets, 1);
    if (rc == 0)
        sockets_append_locked(sockets, entry);
    pthread_mutex_unlock(&sockets->lock);
    return rc;
}

/* What cannot be read, or is no such socket, is kept all the same: nobody will get it by asking,
 * and sockets_unclaimed names it. */
static void look_at(struct sockets_entry *entry)
{
    entry->activated = entry->as.address[0] == '\0';
    entry->as.outside |= entry->activated;
    entry->origin = entry->activated ? "activated" : "handed over";
    if (address_of_socket(&entry->bound, entry->fd) < 0)
        entry->bound = (struct address){0};
    else if (entry->activated)
        (void)address_format(&entry->bound, entry->as.address, sizeof entry->as.address);
    if (entry->activated)
        entry->asked = entry->bound;
    else
        (void)address_parse(&entry->asked, entry->as.address, NULL);
}

int sockets_adopt(struct sockets *sockets, const struct handover_entry *as, int fd)
{
    struct sockets_entry *entry = sockets_entry_new(as);
    if (entry == NULL) {
        (void)close(fd);
        return -ENOMEM;
    }
    entry->fd = fd;
    if (as->kind == HANDOVER_LISTENER)
        look_at(entry);
    int rc = append(sockets, entry);
    if (rc < 0)
        sockets_dispose(entry, false);
    return rc;
}

/* Whole names only; when not all fit, dots. */
static void add_name(const struct sockets_entry *entry, char *names, size_t size)
{
    static const char dots[] = ", ...";
    char text[ADDRESS_TEXT_MAX + 16];
    size_t used = strlen(names);
    bool named = entry->as.name[0] != '\0';
    int length =
        snprintf(text, sizeof text, entry->as.index > 0 ? "%s%s#%u" : "%s%s", used > 0 ? ", " : "",
                 named ? entry->as.name : entry->as.address, entry->as.index);
    bool full = used >= sizeof dots - 1 && strcmp(names + used - (sizeof dots - 1), dots) == 0;
    if (length < 0 || full)
        return;
    if (used + (size_t)length + sizeof dots <= size)
        memcpy(names + used, text, (size_t)length + 1);
    else if (used > 0)
        memcpy(names + used, dots, sizeof dots);
    else
        (void)snprintf(names, size, "...");
}

size_t sockets_unclaimed(struct sockets *sockets, bool activated, char *names, size_t size)
{
    size_t count = 0;
    if (size > 0)
        names[0] = '\0';
    pthread_mutex_lock(&sockets->lock);
    for (size_t i = 0; i < sockets->count; i++) {
        const struct sockets_entry *entry = sockets->entries[i];
        if (entry->state != CAME_IN || entry->activated != activated)
            continue;
        count++;
        if (size > 0)
            add_name(entry, names, size);
    }
    pthread_mutex_unlock(&sockets->lock);
    return count;
}

/* What is the service manager's goes when this process does, or a newer one serves for good. */
static bool is_unclaimed(const struct sockets_entry *entry)
{
    return entry->state == CAME_IN && entry->as.outside == 0;
}

/* Kept for the new process, or only passed through this one: of no use when that has taken over. */
static bool is_over(const struct sockets_entry *entry)
{
    return (entry->state == OURS && entry->as.kind != HANDOVER_LISTENER) ||
           (entry->state == CAME_IN && entry->as.outside != 0);
}

static struct sockets_entry *first_locked(const struct sockets *sockets,
                                          bool (*is_meant)(const struct sockets_entry *entry))
{
    for (size_t i = 0; i < sockets->count; i++)
        if (is_meant(sockets->entries[i]))
            return sockets->entries[i];
    return NULL;
}

static void drop_all(struct sockets *sockets, bool (*is_meant)(const struct sockets_entry *entry))
{
    struct sockets_entry *entry;
    do {
        pthread_mutex_lock(&sockets->lock);
        entry = first_locked(sockets, is_meant);
        bool with_path = entry != NULL && sockets_owns_path_locked(sockets, entry);
        if (entry != NULL)
            sockets_remove_locked(sockets, entry);
        pthread_mutex_unlock(&sockets->lock);
        if (entry != NULL)
            sockets_dispose(entry, with_path);
    } while (entry != NULL);
}

void sockets_drop_unclaimed(struct sockets *sockets)
{
    drop_all(sockets, is_unclaimed);
}

void sockets_drop_handed_on(struct sockets *sockets)
{
    drop_all(sockets, is_over);
}

/* --- what is kept ---------------------------------------------------------------------------- */

static struct sockets_entry *find_kept_locked(const struct sockets *sockets, const char *name,
                                              enum sockets_state state)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct sockets_entry *entry = sockets->entries[i];
        if (entry->as.kind != HANDOVER_LISTENER && entry->state == state &&
            strcmp(entry->as.name, name) == 0)
            return entry;
    }
    return NULL;
}

static struct sockets_entry *remove_kept(struct sockets *sockets, const char *name,
                                         enum sockets_state state)
{
    pthread_mutex_lock(&sockets->lock);
    struct sockets_entry *entry = find_kept_locked(sockets, name, state);
    if (entry != NULL)
        sockets_remove_locked(sockets, entry);
    pthread_mutex_unlock(&sockets->lock);
    return entry;
}

int sockets_keep(struct sockets *sockets, const char *name, int fd, enum handover_kind kind,
                 srun_err *err)
{
    if (!text_printable(name, HANDOVER_NAME_MAX - 1)) {
        char quoted[TEXT_QUOTE_MAX];
        return srun_fail(err, -EINVAL, "name %s: accepted are 1 to %d printable bytes",
                         text_quote(quoted, name), HANDOVER_NAME_MAX - 1);
    }
    struct handover_entry as = {.kind = kind};
    (void)snprintf(as.name, sizeof as.name, "%s", name);
    struct sockets_entry *entry = sockets_entry_new(&as);
    if (entry == NULL)
        return srun_fail(err, -ENOMEM, "%s: out of memory", name);
    entry->state = OURS;
    entry->fd = fcntl(fd, F_DUPFD_CLOEXEC, FD_LEAST);
    int rc = 0;
    if (entry->fd < 0)
        rc = errno == EBADF ? srun_fail(err, -EINVAL, "%s: %d is not an open descriptor", name, fd)
                            : srun_fail(err, -errno, "%s: a copy of %d: %m", name, fd);
    pthread_mutex_lock(&sockets->lock);
    struct sockets_entry *before = NULL;
    if (rc == 0 && sockets_reserve_locked(sockets, 1) < 0)
        rc = srun_fail(err, -ENOMEM, "%s: out of memory", name);
    if (rc == 0) {
        before = find_kept_locked(sockets, name, OURS);
        if (before != NULL)
            sockets_remove_locked(sockets, before);
        sockets_append_locked(sockets, entry);
    }
    pthread_mutex_unlock(&sockets->lock);
    if (rc < 0)
        before = entry;
    if (before != NULL)
        sockets_dispose(before, false);
    return rc;
}

int sockets_forget(struct sockets *sockets, const char *name)
{
    struct sockets_entry *entry = name == NULL ? NULL : remove_kept(sockets, name, OURS);
    if (entry == NULL)
        return -ENOENT;
    sockets_dispose(entry, false);
    return 0;
}

int sockets_take(struct sockets *sockets, const char *name, enum handover_kind *kind, int *fd)
{
    struct sockets_entry *entry = name == NULL ? NULL : remove_kept(sockets, name, CAME_IN);
    if (entry == NULL)
        return -ENOENT;
    *kind = entry->as.kind;
    *fd = entry->fd;
    entry->fd = -1;
    sockets_dispose(entry, false);
    return 0;
}

/* --- what is handed on ----------------------------------------------------------------------- */

static bool is_handed_on(const struct sockets_entry *entry)
{
    return (entry->state != CAME_IN || entry->as.outside != 0) && !entry->let_go;
}

/* What nobody here has asked for is for the next generation what it was for the first one: without
 * an address of the program's, so that its name alone will do. On its way it has to have one. */
static struct handover_entry describe(const struct sockets_entry *entry)
{
    struct handover_entry as = entry->as;
    if (entry->state == OURS || as.outside == 0)
        return as;
    as.address[0] = '\0';
    if (as.name[0] == '\0')
        (void)snprintf(as.name, sizeof as.name, NAMELESS);
    return as;
}

size_t sockets_to_hand_over(struct sockets *sockets)
{
    size_t count = 0;
    pthread_mutex_lock(&sockets->lock);
    for (size_t i = 0; i < sockets->count; i++)
        count += is_handed_on(sockets->entries[i]);
    pthread_mutex_unlock(&sockets->lock);
    return count;
}

static int copy_locked(const struct sockets *sockets, struct sockets_snapshot *out)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct sockets_entry *entry = sockets->entries[i];
        if (!is_handed_on(entry))
            continue;
        int fd = fcntl(entry->fd, F_DUPFD_CLOEXEC, FD_LEAST);
        if (fd < 0)
            return -errno;
        out->entries[out->count] = describe(entry);
        out->shared[out->count] = (struct sockets_shared){
            .bound = entry->bound,
            .backlog = entry->state == OURS ? entry->backlog : BIND_AS_IT_IS};
        out->fds[out->count++] = fd;
        entry->handed_on = true;
    }
    return 0;
}

int sockets_snapshot(struct sockets *sockets, struct sockets_snapshot **out)
{
    struct sockets_snapshot *snapshot = calloc(1, sizeof *snapshot);
    if (snapshot == NULL)
        return -ENOMEM;
    pthread_mutex_lock(&sockets->lock);
    size_t room = sockets->count + 1; /* calloc of none may answer NULL */
    snapshot->entries = calloc(room, sizeof snapshot->entries[0]);
    snapshot->fds = calloc(room, sizeof snapshot->fds[0]);
    snapshot->shared = calloc(room, sizeof snapshot->shared[0]);
    int rc = -ENOMEM;
    if (snapshot->entries != NULL && snapshot->fds != NULL && snapshot->shared != NULL)
        rc = copy_locked(sockets, snapshot);
    sockets->copied |= rc == 0;
    pthread_mutex_unlock(&sockets->lock);
    if (rc < 0) {
        (void)sockets_snapshot_free(snapshot);
        return rc;
    }
    sockets_note_options(snapshot);
    *out = snapshot;
    return 0;
}

struct sockets_snapshot *sockets_snapshot_free(struct sockets_snapshot *snapshot)
{
    if (snapshot == NULL)
        return NULL;
    for (size_t i = 0; i < snapshot->count; i++)
        (void)close(snapshot->fds[i]);
    free(snapshot->entries);
    free(snapshot->fds);
    free(snapshot->shared);
    free(snapshot);
    return NULL;
}
