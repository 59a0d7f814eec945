/* SPDX-License-Identifier: MIT
 *
 * For the build that runs under helgrind, before everything else: atomics as they are, and helgrind
 * is told of them. It knows locks, conditions and threads; by itself it takes each atomic for a
 * race, and what one publishes for another. An operation that is not relaxed counts as acquire and
 * release, a fence as one by all fences: so it may miss a race, and ./dev tsan is there for that,
 * but reports none that is not there. Operators on _Atomic (x++) are not seen: we write none.
 */
#ifndef HELGRIND_ATOMICS_H
#define HELGRIND_ATOMICS_H
#pragma GCC system_header /* names in here may be used once more within */
#ifndef __cplusplus

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* some sources say so themselves, but this comes first */
#endif

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <valgrind/helgrind.h>

/* Whoever has been at the place has done all that came before it. */
#define HELGRIND_MEET_(place, order)                                                               \
    do {                                                                                           \
        if ((order) != __ATOMIC_RELAXED) {                                                         \
            ANNOTATE_HAPPENS_AFTER(place);                                                         \
            ANNOTATE_HAPPENS_BEFORE(place);                                                        \
        }                                                                                          \
    } while (0)

/* What `operation` leaves in out_ when it is done with the object at_; a value of its own is in_.
 */
#define HELGRIND_ATOMIC_(object, value, order, operation)                                          \
    __extension__({                                                                                \
        __auto_type at_ = (object);                                                                \
        __auto_type in_ = (value);                                                                 \
        __typeof__((void)0, *at_) out_;                                                            \
        void *place_ = (void *)(uintptr_t)at_;                                                     \
        (void)in_;                                                                                 \
        VALGRIND_HG_DISABLE_CHECKING(place_, sizeof *at_);                                         \
        HELGRIND_MEET_(place_, order);                                                             \
        operation;                                                                                 \
        HELGRIND_MEET_(place_, order);                                                             \
        out_;                                                                                      \
    })

#define HELGRIND_LOAD_(object, order)                                                              \
    HELGRIND_ATOMIC_(object, 0, order, __atomic_load(at_, &out_, order))
#define HELGRIND_STORE_(object, value, order)                                                      \
    ((void)HELGRIND_ATOMIC_(object, value, order,                                                  \
                            (out_ = (__typeof__(out_))in_, __atomic_store(at_, &out_, order))))
#define HELGRIND_EXCHANGE_(object, value, order)                                                   \
    HELGRIND_ATOMIC_(object, value, order,                                                         \
                     (out_ = (__typeof__(out_))in_, __atomic_exchange(at_, &out_, &out_, order)))
#define HELGRIND_FETCH_(how, object, value, order)                                                 \
    HELGRIND_ATOMIC_(object, value, order, out_ = __atomic_fetch_##how(at_, in_, order))
#define HELGRIND_COMPARE_(object, expected, value, weak, good, bad)                                \
    __extension__({                                                                                \
        __auto_type expected_ = (expected);                                                        \
        bool done_;                                                                                \
        (void)HELGRIND_ATOMIC_(                                                                    \
            object, value, good,                                                                   \
            (out_ = (__typeof__(out_))in_,                                                         \
             done_ = __atomic_compare_exchange(at_, expected_, &out_, weak, good, bad)));          \
        done_;                                                                                     \
    })

#undef atomic_load
#undef atomic_load_explicit
#undef atomic_store
#undef atomic_store_explicit
#undef atomic_exchange
#undef atomic_exchange_explicit
#undef atomic_fetch_add
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_strong
#undef atomic_compare_exchange_weak
#undef atomic_compare_exchange_weak_explicit
#undef atomic_init
#undef atomic_thread_fence
#undef atomic_flag_test_and_set
#undef atomic_flag_clear

#define atomic_load(object) HELGRIND_LOAD_(object, __ATOMIC_SEQ_CST)
#define atomic_load_explicit(object, order) HELGRIND_LOAD_(object, order)
#define atomic_store(object, value) HELGRIND_STORE_(object, value, __ATOMIC_SEQ_CST)
#define atomic_store_explicit(object, value, order) HELGRIND_STORE_(object, value, order)
#define atomic_exchange(object, value) HELGRIND_EXCHANGE_(object, value, __ATOMIC_SEQ_CST)
#define atomic_exchange_explicit(object, value, order) HELGRIND_EXCHANGE_(object, value, order)
#define atomic_fetch_add(object, value) HELGRIND_FETCH_(add, object, value, __ATOMIC_SEQ_CST)
#define atomic_fetch_add_explicit(object, value, order) HELGRIND_FETCH_(add, object, value, order)
#define atomic_fetch_sub(object, value) HELGRIND_FETCH_(sub, object, value, __ATOMIC_SEQ_CST)
#define atomic_fetch_sub_explicit(object, value, order) HELGRIND_FETCH_(sub, object, value, order)
#define atomic_compare_exchange_strong(object, expected, value)                                    \
    HELGRIND_COMPARE_(object, expected, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define atomic_compare_exchange_weak(object, expected, value)                                      \
    HELGRIND_COMPARE_(object, expected, value, 1, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#define atomic_compare_exchange_weak_explicit(object, expected, value, good, bad)                  \
    HELGRIND_COMPARE_(object, expected, value, 1, good, bad)
#define atomic_init(object, value) HELGRIND_STORE_(object, value, __ATOMIC_RELAXED)
#define atomic_thread_fence(order)                                                                 \
    do {                                                                                           \
        HELGRIND_MEET_((void *)1, order); /* a place that all fences have in common */             \
        __atomic_thread_fence(order);                                                              \
        HELGRIND_MEET_((void *)1, order);                                                          \
    } while (0)
#define atomic_flag_test_and_set(flag)                                                             \
    ((bool)HELGRIND_EXCHANGE_((unsigned char *)(flag), 1, __ATOMIC_SEQ_CST))
#define atomic_flag_clear(flag) HELGRIND_STORE_((unsigned char *)(flag), 0, __ATOMIC_SEQ_CST)

/* Some objects are no _Atomic: others read them too. */
#define __atomic_load_n(object, order) HELGRIND_LOAD_(object, order)
#define __atomic_store_n(object, value, order) HELGRIND_STORE_(object, value, order)

#endif
#endif
