/* Into a network namespace that was made for the benchmark, and into no other. */
#ifndef BENCH_NAMESPACE_H_
#define BENCH_NAMESPACE_H_

#include <err.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Needs _GNU_SOURCE, for setns(2). */
static inline void enter_namespace(const char *path) {
  struct stat own, other;
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &other) < 0) err(EXIT_FAILURE, "%s", path);
  if (stat("/proc/self/ns/net", &own) < 0) err(EXIT_FAILURE, "/proc/self/ns/net");
  if (own.st_dev == other.st_dev && own.st_ino == other.st_ino) {
    errx(EXIT_FAILURE, "%s is the network namespace this process runs in; nothing is measured there", path);
  }
  if (setns(fd, CLONE_NEWNET) < 0) err(EXIT_FAILURE, "setns %s", path);
  close(fd);
}

#endif /* BENCH_NAMESPACE_H_ */
