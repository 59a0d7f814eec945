/* SPDX-License-Identifier: MIT
 *
 * What two generations say to each other: messages as bytes and back. One message is one packet: a
 * fixed head (magic, version of the head, type) and fields of tag, length, value; a tag that is not
 * known is skipped, so that older and newer builds understand each other. The head, and HELLO and
 * WELCOME as they are, never change. Numbers are little-endian. PURE, and never trusts its input.
 */
#ifndef UPGRADE_HANDOVER_H
#define UPGRADE_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of the conversation; agreed on by HELLO and WELCOME. Tests build programs that speak others. */
#ifndef HANDOVER_VERSION_MIN
#define HANDOVER_VERSION_MIN 1
#define HANDOVER_VERSION_MAX 1
#endif

#define HANDOVER_PACKET_MAX 32768
#define HANDOVER_BATCH_MAX 32    /* descriptors in one packet */
#define HANDOVER_NAME_MAX 64     /* with its end */
#define HANDOVER_ADDRESS_MAX 144 /* with its end */
#define HANDOVER_TEXT_MAX 252    /* with its end */
#define HANDOVER_LIMITS 16       /* resource limits (RLIM_NLIMITS) */

enum handover_type {
    /* by the new process */
    HANDOVER_HELLO = 1, /* version_min, version_max, pid, name, version, build */
    HANDOVER_ACK,       /* count: descriptors received so far */
    HANDOVER_PROGRESS,  /* text; extend_ns may be 0 */
    HANDOVER_READY,     /* count: taken, text: the names nobody has taken, for the log */
    HANDOVER_SERVING,
    HANDOVER_FAILED,   /* text */
    HANDOVER_STOPPING, /* it was told to stop: no reason to roll back */
    HANDOVER_RELEASE,  /* another upgrade was asked for: end the probation */
    HANDOVER_PONG,
    /* by the old process */
    HANDOVER_WELCOME =
        33,         /* version_max: the one agreed on; generation, count, boot; + its pidfd */
    HANDOVER_BATCH, /* entries; + as many descriptors, in order */
    HANDOVER_COMMIT,
    HANDOVER_PING,
    HANDOVER_AGAIN,   /* an upgrade was asked for at the old process: it is the new one's now */
    HANDOVER_RETIRED, /* the old process has let go of the listeners */
    HANDOVER_STOP     /* the operator wants both to stop */
};

enum handover_kind { HANDOVER_LISTENER = 1, HANDOVER_KEPT, HANDOVER_STATE };

/* A descriptor that travels. */
struct handover_entry {
    char name[HANDOVER_NAME_MAX];
    char address[HANDOVER_ADDRESS_MAX]; /* of a listener: as it was asked for; else "" */
    enum handover_kind kind;
    uint32_t index;         /* in a group */
    uint32_t outside;       /* 1: came from outside, its path is not ours to unlink */
    uint64_t device, inode; /* of the unix path, or 0 */
};

/* What the first process was started with and every generation has to get back. */
struct handover_boot {
    uint64_t blocked; /* signals: bit n-1 stands for signal n */
    uint64_t ignored;
    uint32_t umask;
    struct handover_limit {
        uint64_t soft, hard; /* UINT64_MAX: infinity */
    } limits[HANDOVER_LIMITS];
};

struct handover_message {
    enum handover_type type;
    uint32_t version_min, version_max;
    uint32_t pid, generation, count;
    uint64_t extend_ns;
    char name[HANDOVER_NAME_MAX]; /* of the program, cut to fit */
    char version[HANDOVER_NAME_MAX];
    char build[HANDOVER_NAME_MAX];
    char text[HANDOVER_TEXT_MAX];
    struct handover_boot boot;
    uint32_t entry_count;
    struct handover_entry entries[HANDOVER_BATCH_MAX];
};

/* The size of the packet; -ENOBUFS; -EINVAL: the other side would refuse it. Texts lose a character
 * that was cut in two at their end. */
int handover_encode(const struct handover_message *message, void *packet, size_t size);

/* 0 and every field set (what the packet does not have is 0); -EBADMSG: no packet of ours: magic or
 * lengths wrong, a field that is missing, there twice or out of range, a name that is not
 * printable, not as many entries as announced; -EPROTONOSUPPORT: a type we do not know (skip it).
 * On an error all is 0. Of texts for the log, what does not print becomes '?'. */
int handover_decode(struct handover_message *message, const void *packet, size_t size);

/* Does the HELLO of a process name this program? Its name may have been cut to fit. */
bool handover_is_by(const struct handover_message *hello, const char *program);

/* The highest version both speak, or 0. */
uint32_t handover_agree(uint32_t their_min, uint32_t their_max);

const char *handover_type_name(enum handover_type type); /* "HELLO", ...; "?" */

#endif
