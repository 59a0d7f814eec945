/* SPDX-License-Identifier: MIT
 *
 * Listeners through a hand-over, with every call failed once, in turn: what fails says so, leaves
 * nothing behind, and can be asked for again.
 */
#include "harness.h"
#include "upgrade/sockets.h"
#include "wrap.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 400 }; /* calls in the whole life */

static char path[ADDRESS_TEXT_MAX];

static void note(int *worst, int rc)
{
    if (rc < 0 && *worst == 0)
        *worst = rc;
}

static int adopt_all(struct sockets *from, struct sockets *to)
{
    struct sockets_snapshot *snapshot = NULL;
    int rc = sockets_snapshot(from, &snapshot), worst = rc;
    for (size_t i = 0; rc == 0 && i < snapshot->count; i++)
        note(&worst, sockets_adopt(to, &snapshot->entries[i], dup(snapshot->fds[i])));
    if (rc == 0)
        ck_assert_ptr_null(sockets_snapshot_free(snapshot));
    return worst;
}

/* 0, or the first thing that failed; it goes on all the same. */
static int live(void)
{
    struct sockets old, new;
    int fds[3] = {-1, -1, -1}, rc = 0;
    enum handover_kind kind;
    srun_err err = {0};
    sockets_init(&old);
    sockets_init(&new);
    sockets_open(&old);
    sockets_set_office(&old, true);
    note(&rc, sockets_listen(&old, "tcp", "tcp://127.0.0.1:0", NULL, fds, 2, NULL, &err));
    note(&rc, sockets_listen(&old, "unix", path, SRUN_LISTEN_OPTIONS(.mode = 0600), &fds[2], 1,
                             NULL, &err));
    note(&rc, sockets_keep(&old, "kept", 0, HANDOVER_KEPT, &err));
    if (rc == 0)
        note(&rc, sockets_gate_fd(&old, fds[0]));
    int client = rc == 0 ? sockets_accept(&old, fds[0], NULL, NULL) : -EAGAIN;
    if (client != -EAGAIN)
        note(&rc, client);
    note(&rc, adopt_all(&old, &new));
    if (rc == 0) {
        note(&rc, sockets_listen(&new, "tcp", "tcp://127.0.0.1:0", NULL, fds, 3, NULL, &err));
        note(&rc, sockets_listen(&new, "unix", path, NULL, fds, 1, NULL, &err));
    }
    int kept = -1;
    if (sockets_take(&new, "kept", &kind, &kept) == 0)
        (void)close(kept);
    ck_assert_int_eq(err.code == 0, err.text[0] == '\0');
    sockets_shut(&old);
    sockets_set_office(&new, true);
    char name[HANDOVER_NAME_MAX];
    note(&rc, sockets_apply(&new, NULL, name) != NULL ? -EIO : 0);
    sockets_let_go(&old);
    sockets_destroy(&new);
    sockets_destroy(&old);
    return rc;
}

/* What is left behind is seen by the harness (descriptors) and by the counts here (memory). */
static unsigned sweep(unsigned kinds)
{
    unsigned k = 1, hit = 0;
    for (; k < MOST; k++) {
        long before = fault_blocks();
        fault_arm(kinds, k, false);
        int rc = live();
        unsigned failed = fault_disarm();
        ck_assert_msg(fault_blocks() == before, "after %s (%u): memory is lost", fault_name(), k);
        if (failed == 0)
            break;
        hit += rc != 0;
        ck_assert_msg(kinds != FAULT_INTERRUPT || rc == 0, "%s (%u): %d", fault_name(), k, rc);
        rc = live(); /* with nothing in its way */
        ck_assert_msg(rc == 0, "after %s (%u): %d", fault_name(), k, rc);
    }
    ck_assert_uint_gt(k, 1);
    ck_assert_uint_lt(k, MOST);
    return hit;
}

static void name_path(void)
{
    (void)snprintf(path, sizeof path, "unix://%s/x.sock", harness_folder());
}

START_TEST(loses_nothing_when_memory_lacks)
    {
        name_path();
        ck_assert_uint_gt(sweep(FAULT_MEMORY), 10);
    }
END_TEST

START_TEST(loses_nothing_when_a_call_on_a_descriptor_fails)
    {
        name_path();
        ck_assert_uint_gt(sweep(FAULT_DESCRIPTOR), 20);
    }
END_TEST

START_TEST(takes_an_interruption_for_no_failure)
    {
        name_path();
        (void)sweep(FAULT_INTERRUPT);
    }
END_TEST

int main(void)
{
    return HARNESS("fault.sockets", loses_nothing_when_memory_lacks,
                   loses_nothing_when_a_call_on_a_descriptor_fails,
                   takes_an_interruption_for_no_failure);
}
