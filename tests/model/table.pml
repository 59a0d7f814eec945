/* SPDX-License-Identifier: MIT
 *
 * What the machine of machine.pml does with each event in each state that can be reached, one line
 * each; upgrade_table.c prints the same of machine.c. For promela_test.py.
 */
#include "machine.pml"

inline tell() {
    printf(" ");
    printm(m[me].state);
    printf(" %d%d%d%d%d%d%d%d%d", m[me].asked, m[me].started, m[me].ending, m[me].spawned,
           m[me].answered, m[me].leaves, m[me].alone, m[me].settled, m[me].unclear)
}

inline choose(x) {
    if
    :: x = ASKED :: x = REFUSED :: x = SPAWNED :: x = GARBLED :: x = GONE :: x = PASSED
    :: x = STARTED :: x = ENDING :: x = BREAKS :: x = ENDED
    :: is_timed(me) -> x = TIME
    :: is(IN_PROBATION) -> x = PROBE
    :: x = HELLO :: x = BAD_HELLO :: x = ACK :: x = ACK_ALL :: x = PROGRESS :: x = READY
    :: x = SERVING :: x = FAILED :: x = STOPPING :: x = RELEASE :: x = PONG :: x = WELCOME
    :: x = BATCH :: x = COMMIT :: x = PING :: x = AGAIN :: x = RETIRED :: x = STOP
    fi
}

init {
    byte me = 0;
    mtype event = NOTHING, action = NOTHING, detail = NOTHING, why = 0;
    if :: takes_over = 0 :: takes_over = 1 fi;
    if :: probation = 0 :: probation = 1 fi;
    if :: begin_machine(me, IN_JOIN) :: begin_machine(me, IN_IDLE) fi;
end:
    do
    :: choose(event) ->
        d_step {
            printf("%d%d", takes_over, probation);
            tell();
            printf(" ");
            printm(event);
            printf(" ->");
            feed(event);
            tell();
            do
            :: todo[me]?action, detail ->
                printf(" ");
                printm(action);
                printf(" ");
                printm(detail)
            :: empty(todo[me]) -> break
            od;
            printf("\n");
            event = NOTHING;
            action = NOTHING;
            detail = NOTHING
        }
    od
}
