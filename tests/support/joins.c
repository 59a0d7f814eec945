/* SPDX-License-Identifier: MIT
 *
 * For helgrind (tools/valgrind), which does not know that this waits for the end of a thread, and
 * would see a race in each access to what the thread has left. Here it waits without a limit.
 */
#include <pthread.h>
#include <time.h>

#ifdef __GLIBC__ /* others have none */
__attribute__((visibility("default"))) int
pthread_clockjoin_np(pthread_t thread, void **out, clockid_t clock, const struct timespec *until)
{
    (void)clock;
    (void)until;
    return pthread_join(thread, out);
}
#endif
