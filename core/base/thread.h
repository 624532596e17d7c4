/* thread.h - starting threads inside somebody else's program: no signal of the program is delivered to them, and their
 * stacks are small. */
#ifndef MAG_BASE_THREAD_H
#define MAG_BASE_THREAD_H

#include <pthread.h>

/* *ret_thread is to be joined; NULL: detached. 0, or -MBP_E_LIMIT if there is no room for another thread. */
int mag_thread_start(void *(*run)(void *), void *argument, pthread_t *ret_thread);

#endif
