/*
 * Writes one frame to a tap as fast as it goes, as a guest would that wants to know.
 *
 *   pump
 *
 * The taps are descriptors that this process is given, from 3 on. For each line on standard input,
 *
 *   FROM TO COUNT FRAME      two descriptors, a number, the frame in hexadecimal digits
 *
 * the frame is written COUNT times to FROM, and one line is written: `WRITTEN RECEIVED NANOSECONDS PROCESSOR
 * CYCLES`: by the clock, and of processor time. The frames go in bursts that TO's queue can hold, and what came is read and counted between two bursts; only the
 * writing is measured. A frame takes its whole way, through both hooks and the cable to the other queue, inside the
 * system call that wrote it, or in a softirq at its end. CYCLES is `-` where the kernel counts none for a process.
 * For a line that cannot be obeyed the answer is `! ` and what is wrong.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../clock.h"

/* A tap that was just opened wants this much of struct virtio_net_hdr before each frame (drivers/net/tap.c). */
#define VIRTIO_HEADER_LENGTH 10
#define LONGEST_FRAME 1514
/* A tap's queue holds 500 frames unless its link says otherwise. */
#define BURST 256
/* How often the queue is looked at again for frames that another context still carries. */
#define PATIENCE 1000

struct tally {
  long written;
  long received;
  int64_t nanoseconds;
  int64_t processor;
  uint64_t cycles;
};

/* The cycles of this thread, the kernel's share included. -1 where there is no counter, as in many virtual machines. */
static int open_cycle_counter(void) {
  struct perf_event_attr attributes = {
      .type = PERF_TYPE_HARDWARE, .size = sizeof attributes, .config = PERF_COUNT_HW_CPU_CYCLES, .disabled = 1};
  return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

/* On one processor, so that a frame's softirq cannot be another processor's work, and not the first: it has most of
   the interrupts. */
static void stay_on_one_processor(void) {
  cpu_set_t allowed, one;
  if (sched_getaffinity(0, sizeof allowed, &allowed) < 0) err(EXIT_FAILURE, "sched_getaffinity");
  CPU_ZERO(&one);
  for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    CPU_SET(cpu, &one);
    break;
  }
  if (sched_setaffinity(0, sizeof one, &one) < 0) err(EXIT_FAILURE, "sched_setaffinity");
}

/* Empties a tap's queue and counts the frames that were of the same length. */
static long drain(int tap, size_t length) {
  char buffer[VIRTIO_HEADER_LENGTH + 65536];
  long frames = 0;
  for (;;) {
    const ssize_t size = read(tap, buffer, sizeof buffer);
    if (size < 0 && errno == EAGAIN) return frames;
    if (size < 0) err(EXIT_FAILURE, "read");
    if ((size_t)size == length) frames++;
  }
}

static int pump(int from, int to, long count, const char *frame, size_t length, int counter, struct tally *tally) {
  drain(to, length);
  if (counter >= 0) {
    ioctl(counter, PERF_EVENT_IOC_RESET, 0);
  }
  while (tally->written < count) {
    const long burst = count - tally->written < BURST ? count - tally->written : BURST;
    if (counter >= 0) ioctl(counter, PERF_EVENT_IOC_ENABLE, 0);
    const int64_t used = thread_ns();
    const int64_t start = monotonic_ns();
    for (long frames = 0; frames < burst; frames++) {
      if (write(from, frame, length) != (ssize_t)length) return -1;
    }
    tally->nanoseconds += monotonic_ns() - start;
    tally->processor += thread_ns() - used;
    if (counter >= 0) ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
    tally->written += burst;
    tally->received += drain(to, length);
  }
  for (int looks = 0; looks < PATIENCE && tally->received < tally->written; looks++) {
    sched_yield();
    tally->received += drain(to, length);
  }
  if (counter >= 0 && read(counter, &tally->cycles, sizeof tally->cycles) != sizeof tally->cycles) return -1;
  return 0;
}

/* Behind the header, in place. Returns the length with the header, 0 for what are no bytes. */
static size_t read_frame(const char *digits, char *frame) {
  size_t length = VIRTIO_HEADER_LENGTH;
  memset(frame, 0, VIRTIO_HEADER_LENGTH);
  for (; digits[0] != '\0' && digits[1] != '\0'; digits += 2) {
    unsigned int byte;
    if (length == VIRTIO_HEADER_LENGTH + LONGEST_FRAME || sscanf(digits, "%2x", &byte) != 1) return 0;
    frame[length++] = (char)byte;
  }
  return digits[0] == '\0' ? length : 0;
}

int main(void) {
  static char line[2 * LONGEST_FRAME + 128], digits[2 * LONGEST_FRAME + 1];
  char frame[VIRTIO_HEADER_LENGTH + LONGEST_FRAME];
  stay_on_one_processor();
  const int counter = open_cycle_counter();
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    int from, to;
    long count;
    struct tally tally = {0, 0, 0, 0, 0};
    size_t length = 0;
    if (sscanf(line, "%d %d %ld %3028s", &from, &to, &count, digits) == 4) length = read_frame(digits, frame);
    if (length == 0) {
      puts("! this is no task");
    } else if (pump(from, to, count, frame, length, counter, &tally) < 0) {
      printf("! %s\n", strerror(errno));
    } else {
      printf("%ld %ld %lld %lld ", tally.written, tally.received, (long long)tally.nanoseconds,
             (long long)tally.processor);
      if (counter < 0) puts("-");
      else printf("%llu\n", (unsigned long long)tally.cycles);
    }
    fflush(stdout);
  }
  return EXIT_SUCCESS;
}
