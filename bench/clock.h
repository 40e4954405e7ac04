/* The clock of every figure but the processor time of a frame: CLOCK_MONOTONIC, which is also what process.hrtime() reads. */
#ifndef BENCH_CLOCK_H_
#define BENCH_CLOCK_H_

#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* What this thread has had of a processor, in the kernel and in softirqs at the end of its system calls too: what
   other processes take from it meanwhile is not in there. */
static inline int64_t thread_ns(void) {
  struct timespec used;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
  return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}

#endif /* BENCH_CLOCK_H_ */
