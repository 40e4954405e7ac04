/* The clock of every figure: CLOCK_MONOTONIC, which is also what process.hrtime() reads. */
#ifndef BENCH_CLOCK_H_
#define BENCH_CLOCK_H_

#include <stdint.h>
#include <time.h>

static inline int64_t monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

#endif /* BENCH_CLOCK_H_ */
