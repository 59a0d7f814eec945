/* SPDX-License-Identifier: MIT */
#include "upgrade/inherit.h"

#include "base/auto.h"
#include "base/buildid.h"
#include "base/clock.h"
#include "base/duration.h"
#include "upgrade/budget.h"
#include "upgrade/channel.h"
#include "upgrade/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE                                                                                   \
    (60 * NS_PER_S) /* with each answer; the old process ends us earlier, or has ended */

struct packet {
    struct handover_message message;
    int fds[HANDOVER_BATCH_MAX];
    unsigned count;
};

static void close_all(struct packet *packet)
{
    for (unsigned i = 0; i < packet->count; i++)
        (void)close(packet->fds[i]);
    packet->count = 0;
}

/* The next message, which has to be of this type. */
static int expect(int channel, enum handover_type type, struct packet *packet, srun_err *err)
{
    int rc;
    do {
        rc = channel_wait(channel, clock_real_now() + PATIENCE);
        rc = rc < 0 ? rc : channel_receive(channel, &packet->message, packet->fds, &packet->count);
    } while (rc == -EAGAIN || rc == -EPROTONOSUPPORT);
    if (rc < 0)
        return srun_fail(err, rc, "upgrade: the old process says no %s: %s",
                         handover_type_name(type), srun_strerror(rc));
    if (packet->message.type == type)
        return 0;
    close_all(packet);
    return srun_fail(err, -EBADMSG, "upgrade: the old process says %s instead of %s",
                     handover_type_name(packet->message.type), handover_type_name(type));
}

static int say(int channel, const struct handover_message *message, srun_err *err)
{
    int rc = channel_send(channel, message, NULL, 0);
    return rc < 0 ? srun_fail(err, rc, "upgrade: %s: %s", handover_type_name(message->type),
                              srun_strerror(rc))
                  : 0;
}

static int greet(const struct inherit *inherit, srun_err *err)
{
    char text[BUILDID_TEXT_MAX];
    struct handover_message hello = {.type = HANDOVER_HELLO,
                                     .version_min = HANDOVER_VERSION_MIN,
                                     .version_max = HANDOVER_VERSION_MAX,
                                     .pid = (uint32_t)getpid()};
    (void)snprintf(hello.name, sizeof hello.name, "%s", inherit->program);
    (void)snprintf(hello.version, sizeof hello.version, "%s", inherit->version);
    const char *build = buildid_own(text);
    (void)snprintf(hello.build, sizeof hello.build, "%s", build[0] != '\0' ? build : "none");
    return say(inherit->channel, &hello, err);
}

static int take_batch(struct packet *packet, struct sockets *sockets, srun_err *err)
{
    int rc = 0;
    for (unsigned i = 0; i < packet->count; i++) {
        int one = sockets_adopt(sockets, &packet->message.entries[i], packet->fds[i]);
        rc = rc < 0 ? rc : one;
    }
    packet->count = 0;
    return rc < 0 ? srun_fail(err, rc, "upgrade: %s", srun_strerror(rc)) : 0;
}

static int take_descriptors(struct inherit *inherit, unsigned total, struct sockets *sockets,
                            srun_err *err)
{
    auto_free struct packet *packet = calloc(1, sizeof *packet);
    if (packet == NULL)
        return srun_fail(err, -ENOMEM, "upgrade: out of memory");
    int rc = 0;
    while (rc == 0) {
        const struct handover_message ack = {.type = HANDOVER_ACK, .count = inherit->descriptors};
        if (inherit->descriptors > 0 || total == 0)
            rc = say(inherit->channel, &ack, err);
        if (rc < 0 || inherit->descriptors >= total)
            break;
        rc = expect(inherit->channel, HANDOVER_BATCH, packet, err);
        inherit->descriptors += rc == 0 ? packet->count : 0;
        rc = rc < 0 ? rc : take_batch(packet, sockets, err);
    }
    return rc;
}

static int converse(struct inherit *inherit, struct sockets *sockets, srun_err *err)
{
    auto_free struct packet *packet = calloc(1, sizeof *packet);
    if (packet == NULL)
        return srun_fail(err, -ENOMEM, "upgrade: out of memory");
    int rc = greet(inherit, err);
    rc = rc < 0 ? rc : expect(inherit->channel, HANDOVER_WELCOME, packet, err);
    if (rc < 0)
        return rc;
    inherit->parent_pidfd = packet->fds[0];
    inherit->generation = packet->message.generation;
    inherit->boot = packet->message.boot;
    uint32_t version = packet->message.version_max;
    if (handover_agree(version, version) == 0)
        return srun_fail(err, -EPROTONOSUPPORT,
                         "upgrade: the old process speaks version %u, this one %d to %d", version,
                         HANDOVER_VERSION_MIN, HANDOVER_VERSION_MAX);
    rc = budget_check(packet->message.count, err);
    return rc < 0 ? rc : take_descriptors(inherit, packet->message.count, sockets, err);
}

/* The old process tells its operator, who may not read what this one prints. */
static void say_why(int channel, const srun_err *failed)
{
    struct handover_message message = {.type = HANDOVER_FAILED};
    (void)snprintf(message.text, sizeof message.text, "%s", failed->text);
    (void)say(channel, &message, NULL); /* if it has gone, nobody asks */
}

int inherit_begin(struct inherit *inherit, struct sockets *sockets, srun_err *err)
{
    struct spawn_inherited claim;
    inherit->channel = inherit->parent_pidfd = -1;
    if (spawn_inherited(&claim) < 0 || !channel_is_from(claim.fd, claim.pid))
        return 0;
    inherit->channel = claim.fd;
    inherit->parent_pid = claim.pid;
    memcpy(inherit->trace_id, claim.trace_id, sizeof inherit->trace_id);
    memcpy(inherit->span_id, claim.span_id, sizeof inherit->span_id);
    (void)fcntl(claim.fd, F_SETFD, FD_CLOEXEC);
    srun_err failed = *inherit->unfit;
    int rc = failed.code < 0 ? failed.code : converse(inherit, sockets, &failed);
    if (rc == 0)
        return 1;
    say_why(inherit->channel, &failed);
    (void)srun_fail(err, rc, "%s", failed.text);
    (void)close(inherit->channel);
    if (inherit->parent_pidfd >= 0)
        (void)close(inherit->parent_pidfd);
    inherit->channel = inherit->parent_pidfd = -1;
    return rc;
}
