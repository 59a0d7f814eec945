/* SPDX-License-Identifier: MIT
 *
 * To listen: what is open already, what was handed over, what the service manager opened, or a new
 * socket, in this order. All or nothing. One call at a time (turn), which looks and enters under
 * the lock and opens without it, since binding a path waits for the file system.
 */
#include "upgrade/sockets_entry.h"

#include "base/sized.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_MAX 1024
#define MODE_MAX 0777

struct member {
    struct sockets_entry *entry; /* NULL: still missing */
    bool claimed;                /* by this call */
    bool made;                   /* by this call */
};

struct request {
    struct sockets *sockets;
    const char *name, *text;
    struct address address;
    struct srun_listen_options options;
    unsigned count;
    struct member *members;
    const char *fixed;
};

static int read_options(struct request *request, const struct srun_listen_options *options,
                        srun_err *err)
{
    struct srun_listen_options *value = &request->options;
    if (options == NULL)
        return 0;
    int rc = sized_copy(value, sizeof *value, sizeof *value, options);
    if (rc == -E2BIG)
        return srun_fail(err, rc,
                         "listen options: the program sets fields that this library does not know");
    if (rc < 0 || !is_zero(value->reserved, sizeof value->reserved))
        return srun_fail(err, -EINVAL,
                         "listen options: size is not sizeof(struct srun_listen_options), or "
                         "reserved is not zero");
    if (value->backlog < 0 || value->mode > MODE_MAX)
        return srun_fail(err, -EINVAL,
                         "listen options: backlog %d, mode %#o: accepted are 0 and more, and 0 to "
                         "0777",
                         value->backlog, value->mode);
    return 0;
}

static int read_request(struct request *request, const struct srun_listen_options *options,
                        srun_err *err)
{
    char quoted[TEXT_QUOTE_MAX];
    if (!text_printable(request->name, HANDOVER_NAME_MAX - 1))
        return srun_fail(err, -EINVAL, "listener %s: accepted are names of 1 to %d printable bytes",
                         text_quote(quoted, request->name), HANDOVER_NAME_MAX - 1);
    int rc = read_options(request, options, err);
    if (rc == 0)
        rc = address_parse(&request->address, request->text, err);
    if (rc < 0)
        return rc;
    bool several = request->count > 1;
    if (request->count == 0 || request->count > COUNT_MAX ||
        (several && request->address.family == AF_UNIX))
        return srun_fail(err, -EINVAL, "%u sockets on %s: accepted are 1 to %d, and 1 for unix",
                         request->count, request->text, COUNT_MAX);
    return 0;
}

/* --- what there is --------------------------------------------------------------------------- */

static bool is_listener(const struct sockets_entry *entry, enum sockets_state state)
{
    return entry->as.kind == HANDOVER_LISTENER && entry->state == state;
}

static struct sockets_entry *next_member_locked(const struct request *request, unsigned index,
                                                const struct sockets_entry *after)
{
    return sockets_named_locked(request->sockets, request->name, index, after);
}

/* All of one name have one address, and one of them index 0, which is looked at first. */
static struct sockets_entry *find_ours_locked(const struct request *request, unsigned index,
                                              bool *other_address)
{
    struct sockets_entry *entry = next_member_locked(request, index, NULL);
    while (entry != NULL && entry->state != OURS)
        entry = next_member_locked(request, index, entry);
    *other_address |= entry != NULL && !address_equal(&entry->asked, &request->address);
    return entry;
}

/* By the address that was asked for, so that port 0 stays the same port. */
static struct sockets_entry *find_handed_over_locked(const struct request *request, unsigned index)
{
    struct sockets_entry *entry = next_member_locked(request, index, NULL);
    while (entry != NULL && (entry->state != CAME_IN || entry->activated ||
                             !address_equal(&entry->asked, &request->address) ||
                             bind_check(entry->fd, &request->address) < 0))
        entry = next_member_locked(request, index, entry);
    return entry;
}

/* The service manager names a socket after its unit, unless told otherwise. */
static bool is_name_of_unit(const char *unit, const char *name)
{
    size_t size = strlen(name);
    return strncmp(unit, name, size) == 0 &&
           (unit[size] == '\0' || strcmp(unit + size, ".socket") == 0);
}

/* Who wrote the unit says where to listen, so the name alone will do, also when an older version
 * asked for another address; but when several have it the address decides, and all of a group have
 * to have the same. */
static struct sockets_entry *find_outside_locked(const struct request *request,
                                                 const struct sockets_entry *first)
{
    struct sockets_entry *best = NULL;
    int best_rank = 0;
    for (size_t i = 0; request->sockets->any_outside && i < request->sockets->count; i++) {
        struct sockets_entry *entry = request->sockets->entries[i];
        if (!is_listener(entry, CAME_IN) || entry->as.outside == 0 ||
            entry->bound.type != request->address.type ||
            (first != NULL && !address_equal(&entry->bound, &first->bound)))
            continue;
        bool equal = address_equal(&entry->bound, &request->address);
        int rank = 2 * is_name_of_unit(entry->as.name, request->name) + equal;
        if (rank > best_rank && bind_check(entry->fd, &entry->bound) == 0) {
            best = entry;
            best_rank = rank;
        }
    }
    return best;
}

static struct sockets_entry *first_member(const struct request *request)
{
    for (unsigned i = 0; i < request->count; i++)
        if (request->members[i].entry != NULL)
            return request->members[i].entry;
    return NULL;
}

static int claim(struct request *request, srun_err *err)
{
    struct sockets *sockets = request->sockets;
    bool other_address = false;
    pthread_mutex_lock(&sockets->lock);
    for (unsigned i = 0; i < request->count && !other_address; i++) {
        struct member *member = &request->members[i];
        member->entry = find_ours_locked(request, i, &other_address);
        if (member->entry != NULL || other_address)
            continue;
        member->entry = find_handed_over_locked(request, i);
        if (member->entry == NULL)
            member->entry = find_outside_locked(request, first_member(request));
        member->claimed = member->entry != NULL;
        if (member->claimed)
            member->entry->state = CLAIMED;
    }
    pthread_mutex_unlock(&sockets->lock);
    if (other_address)
        return srun_fail(err, -EEXIST,
                         "listener \"%s\" is open already, at another address than %s",
                         request->name, request->text);
    return 0;
}

/* --- what is missing ------------------------------------------------------------------------- */

/* The system says only that the address is in use. Often it is by what the generation before has
 * handed over, under another name or for a narrower address. */
static int explain(const struct request *request, const struct address *address, srun_err *failed,
                   srun_err *err)
{
    char name[HANDOVER_NAME_MAX] = "", bound[ADDRESS_TEXT_MAX] = "";
    bool came_in = false;
    pthread_mutex_lock(&request->sockets->lock);
    for (size_t i = 0; failed->code == -EADDRINUSE && i < request->sockets->count; i++) {
        const struct sockets_entry *entry = request->sockets->entries[i];
        if (entry->as.kind != HANDOVER_LISTENER || entry->let_go || entry->state == CLAIMED ||
            !address_overlap(&entry->bound, address))
            continue;
        came_in = entry->state == CAME_IN;
        (void)snprintf(name, sizeof name, "%s", entry->as.name);
        (void)address_format(&entry->bound, bound, sizeof bound); /* any fits */
        break;
    }
    pthread_mutex_unlock(&request->sockets->lock);
    if (bound[0] == '\0')
        return srun_fail(err, failed->code, "listener \"%s\": %s", request->name, failed->text);
    return srun_fail(err, failed->code, "listener \"%s\": %s is in use by listener \"%s\"%s at %s",
                     request->name, request->text, name,
                     came_in ? ", handed over and not asked for," : "", bound);
}

/* Which the new generation would not get, or which would come too late. */
static bool is_late_locked(const struct request *request)
{
    const struct sockets *sockets = request->sockets;
    bool late = false;
    for (unsigned i = 0; i < request->count; i++) {
        const struct member *member = &request->members[i];
        bool made = member->made || member->entry == NULL;
        late |= (made && sockets->copied) || (member->claimed && sockets->let_go);
    }
    return late;
}

static int fail_late(const struct request *request, srun_err *err)
{
    return srun_fail(err, -EBUSY,
                     "listener \"%s\": %s is not opened during an upgrade: the new process would"
                     " not get it",
                     request->name, request->text);
}

static int check_late(const struct request *request, srun_err *err)
{
    pthread_mutex_lock(&request->sockets->lock);
    bool late = is_late_locked(request);
    pthread_mutex_unlock(&request->sockets->lock);
    return late ? fail_late(request, err) : 0;
}

static int open_member(struct request *request, unsigned index, const struct address *address,
                       srun_err *err)
{
    struct handover_entry as = {.kind = HANDOVER_LISTENER, .index = index};
    struct sockets_entry *entry = sockets_entry_new(&as);
    if (entry == NULL)
        return srun_fail(err, -ENOMEM, "listener \"%s\": out of memory", request->name);
    struct bind_path path;
    srun_err failed = {0};
    int rc = bind_open(address, &request->options, request->count > 1, &path, &failed);
    if (rc < 0) {
        sockets_dispose(entry, false);
        return explain(request, address, &failed, err);
    }
    entry->fd = rc;
    entry->origin = "made";
    entry->made = true;
    entry->as.device = path.device;
    entry->as.inode = path.inode;
    entry->bound = *address; /* so that what follows can be undone */
    request->members[index].entry = entry;
    request->members[index].made = true;
    rc = address_of_socket(&entry->bound, entry->fd);
    return rc < 0 ? srun_fail(err, rc, "listener \"%s\": getsockname: %s", request->name,
                              srun_strerror(rc))
                  : 0;
}

/* All of a group have the address that its first one got, so that port 0 is one port. One that was
 * alone so far does not share it yet. */
static int open_missing(struct request *request, srun_err *err)
{
    for (unsigned i = 0; request->count > 1 && i < request->count; i++)
        if (request->members[i].entry != NULL)
            (void)bind_share(request->members[i].entry->fd); /* else the next bind says so */
    for (unsigned i = 0; i < request->count; i++) {
        if (request->members[i].entry != NULL)
            continue;
        const struct sockets_entry *first = first_member(request);
        struct address address = first != NULL ? first->bound : request->address;
        int rc = open_member(request, i, &address, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* --- all or nothing -------------------------------------------------------------------------- */

static void adopt(struct request *request)
{
    for (unsigned i = 0; i < request->count; i++) {
        const struct sockets_entry *entry = request->members[i].entry;
        const char *fixed = request->members[i].claimed
                                ? bind_adopt(entry->fd, &entry->bound, &request->options)
                                : NULL;
        if (fixed != NULL)
            request->fixed = fixed;
    }
}

/* The options of what came from outside are the operator's: a backlog is only set when the program
 * insists. */
static void note_options(struct sockets_entry *entry, const struct srun_listen_options *options)
{
    bool outside = entry->as.outside != 0;
    entry->backlog = outside && options->backlog == 0 ? BIND_AS_IT_IS : options->backlog;
    entry->mode = outside || options->mode == 0 ? BIND_AS_IT_IS : (int)options->mode;
}

static int reserve_locked(const struct request *request)
{
    int rc = sockets_reserve_locked(request->sockets, request->count);
    for (unsigned i = 0; rc == 0 && i < request->count; i++)
        rc = sockets_index_reserve_locked(request->sockets, request->members[i].entry->fd);
    return rc;
}

static void enter_locked(const struct request *request, unsigned index)
{
    const struct member *member = &request->members[index];
    struct sockets_entry *entry = member->entry;
    if (!member->claimed && !member->made)
        return;
    if (member->made)
        sockets_append_locked(request->sockets, entry);
    sockets_rename_locked(request->sockets, entry, request->name, index);
    (void)snprintf(entry->as.address, sizeof entry->as.address, "%s", request->text);
    entry->asked = request->address;
    entry->state = OURS;
    entry->due = member->claimed;
    request->sockets->due += entry->due;
    note_options(entry, &request->options);
    sockets_index_locked(request->sockets, entry->fd, entry);
}

/* An upgrade may have begun while something was opened. */
static int enter(const struct request *request, srun_err *err)
{
    pthread_mutex_lock(&request->sockets->lock);
    bool late = is_late_locked(request);
    int rc = late ? -EBUSY : reserve_locked(request);
    for (unsigned i = 0; rc == 0 && i < request->count; i++)
        enter_locked(request, i);
    pthread_mutex_unlock(&request->sockets->lock);
    if (late)
        return fail_late(request, err);
    return rc < 0 ? srun_fail(err, rc, "listener \"%s\": %s", request->name, srun_strerror(rc)) : 0;
}

static void roll_back(const struct request *request)
{
    for (unsigned i = 0; i < request->count; i++)
        if (request->members[i].made)
            sockets_dispose(request->members[i].entry, true); /* nobody has seen it */
    pthread_mutex_lock(&request->sockets->lock);
    for (unsigned i = 0; i < request->count; i++)
        if (request->members[i].claimed)
            request->members[i].entry->state = CAME_IN;
    pthread_mutex_unlock(&request->sockets->lock);
}

/* What sockets_let_go will put in the place of listeners, when it must not fail. Of datagrams: such
 * a socket is not readable, and unlike one of a stream it does not look hung up. */
static int make_dead(struct sockets *sockets, srun_err *err)
{
    if (sockets->dead < 0)
        sockets->dead = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return sockets->dead < 0 ? srun_fail(err, -errno, "socket: %m") : 0;
}

static int listen_in_turn(struct request *request, srun_err *err)
{
    int rc = make_dead(request->sockets, err);
    if (rc == 0)
        rc = claim(request, err);
    if (rc == 0)
        rc = check_late(request, err);
    if (rc == 0)
        rc = open_missing(request, err);
    if (rc == 0) {
        adopt(request);
        rc = enter(request, err);
    }
    if (rc < 0) {
        roll_back(request);
        return rc;
    }
    char name[HANDOVER_NAME_MAX]; /* ours */
    const char *refused = sockets_apply(request->sockets, request->name, name);
    if (request->fixed == NULL)
        request->fixed = refused;
    return 0;
}

int sockets_listen(struct sockets *sockets, const char *name, const char *address,
                   const struct srun_listen_options *options, int *fds, unsigned count,
                   struct sockets_found *found, srun_err *err)
{
    struct request request = {.sockets = sockets, .name = name, .text = address, .count = count};
    int rc = read_request(&request, options, err);
    if (rc < 0)
        return rc;
    request.members = calloc(count, sizeof *request.members);
    if (request.members == NULL)
        return srun_fail(err, -ENOMEM, "listener \"%s\": out of memory", name);
    pthread_mutex_lock(&sockets->turn);
    rc = listen_in_turn(&request, err);
    for (unsigned i = 0; rc == 0 && i < count; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): each has its entry now
        fds[i] = request.members[i].entry->fd;
    if (rc == 0 && found != NULL)
        *found = (struct sockets_found){request.members[0].entry->origin, request.fixed};
    pthread_mutex_unlock(&sockets->turn);
    free(request.members);
    return rc;
}

static struct sockets_entry *detach_locked(struct sockets *sockets, const char *name,
                                           bool *with_path)
{
    for (size_t i = 0; i < sockets->count; i++) {
        struct sockets_entry *entry = sockets->entries[i];
        if (!is_listener(entry, OURS) || strcmp(entry->as.name, name) != 0)
            continue;
        *with_path = sockets_owns_path_locked(sockets, entry) && !sockets->copied;
        sockets_remove_locked(sockets, entry);
        return entry;
    }
    return NULL;
}

int sockets_close(struct sockets *sockets, const char *name)
{
    int rc = -ENOENT;
    struct sockets_entry *entry;
    if (name == NULL)
        return rc;
    pthread_mutex_lock(&sockets->turn);
    do {
        bool with_path = false;
        pthread_mutex_lock(&sockets->lock);
        entry = detach_locked(sockets, name, &with_path);
        pthread_mutex_unlock(&sockets->lock);
        if (entry != NULL) {
            sockets_dispose(entry, with_path);
            rc = 0;
        }
    } while (entry != NULL);
    pthread_mutex_unlock(&sockets->turn);
    return rc;
}

static bool is_open(struct sockets *sockets, const struct bind_path *path)
{
    bool open = false;
    pthread_mutex_lock(&sockets->lock);
    for (size_t i = 0; i < sockets->count && !open; i++) {
        const struct handover_entry *as = &sockets->entries[i]->as;
        open = as->device == path->device && as->inode == path->inode;
    }
    pthread_mutex_unlock(&sockets->lock);
    return open;
}

void sockets_thaw(struct sockets *sockets, const struct sockets_snapshot *snapshot)
{
    pthread_mutex_lock(&sockets->lock);
    bool thaws = sockets->copied && !sockets->let_go, in_office = sockets->in_office;
    if (thaws)
        sockets->copied = false;
    pthread_mutex_unlock(&sockets->lock);
    for (size_t i = 0; thaws && in_office && snapshot != NULL && i < snapshot->count; i++) {
        const struct handover_entry *as = &snapshot->entries[i];
        const struct bind_path path = {.device = as->device, .inode = as->inode};
        if (as->outside == 0 && path.inode != 0 && !is_open(sockets, &path))
            bind_unlink(&snapshot->shared[i].bound, &path);
    }
}
