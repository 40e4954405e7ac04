/*
 * Floods a device from both of its sides while it comes and goes, and counts what gets through.
 *
 *   flooder GUEST_NODE GUEST_MAC WORLD_TAP GUEST_FRAME WORLD_FRAME PAUSE
 *
 * GUEST_NODE is the character device of a macvtap that need not be there yet, and may go and come again under the same
 * number; one whose MAC isn't GUEST_MAC (in hexadecimal digits) is somebody else's, and left alone: the numbers are
 * common to all network namespaces, and names come again in each. WORLD_TAP is a descriptor that
 * this process is given, of the tap at the far end of the cable, which stays: opened anew it would get a queue of its
 * own, and frames would go to either. The frames are hexadecimal digits; their last four bytes are the cookies that
 * they are known again by, so they must differ. GUEST_FRAME is written to the first and counted at the second,
 * WORLD_FRAME the other way.
 *
 * It says `ready`, floods until its standard input ends, and then prints what it has counted, one line of JSON. Before
 * that it takes commands of one letter: `r` reports and floods on, `p` pauses and reports, `c` continues.
 *
 *   guest.opened       how often the guest's node could be opened: how many devices it met
 *   guest.written      frames that the tap took and whose device was still there afterwards, up or down
 *   guest.late         frames that the tap took, and then its device was gone: before or after them, nobody knows
 *   guest.received     frames of the world's that came to the guest: leaks of ingress
 *   guest.refused      writes that the tap did not take
 *   world.written, world.received (leaks of egress), world.refused    the same of the other end
 *
 * PAUSE is how many microseconds each side rests between two frames; 0 for not at all, which takes two processors.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A tap that was just opened wants this much of struct virtio_net_hdr before each frame (drivers/net/tap.c). */
#define VIRTIO_HEADER_LENGTH 10
#define LONGEST_FRAME 1514
#define COOKIE_LENGTH 4
#define MAC_LENGTH 6
/* How long what is on its way is waited for at the end, and for a report. */
#define LAST_LOOK_US 200000
#define LOOK_US 2000
#define NAP_US 200
#define FRAMES_PER_QUESTION 16

struct frame {
  char bytes[VIRTIO_HEADER_LENGTH + LONGEST_FRAME];
  size_t length;
};

struct side {
  /* NULL for a tap that is open and stays. */
  const char *node;
  struct frame frame;
  /* What the other side sends, at its end. */
  char awaited[COOKIE_LENGTH];
  int tap;
  /* Frames since it was last sure that the device is there. */
  long unsure;
  atomic_long opened, written, late, received, refused;
  atomic_bool rests;
};

static atomic_bool stopped, paused;
static unsigned char guest_mac[MAC_LENGTH];
static long pause_us;

static struct frame parse_frame(const char *digits) {
  struct frame frame = {.length = VIRTIO_HEADER_LENGTH};
  for (; digits[0] != '\0' && digits[1] != '\0'; digits += 2) {
    unsigned int byte;
    if (frame.length == sizeof frame.bytes || sscanf(digits, "%2x", &byte) != 1) {
      errx(EXIT_FAILURE, "a frame must be hexadecimal digits, for at most %d bytes", LONGEST_FRAME);
    }
    frame.bytes[frame.length++] = (char)byte;
  }
  if (digits[0] != '\0' || frame.length < VIRTIO_HEADER_LENGTH + 14 + COOKIE_LENGTH) {
    errx(EXIT_FAILURE, "a frame must have a header and %d bytes of cookie", COOKIE_LENGTH);
  }
  return frame;
}

static void parse_mac(const char *digits) {
  for (size_t at = 0; at < MAC_LENGTH; at++) {
    unsigned int byte;
    if (sscanf(digits + 2 * at, "%2x", &byte) != 1) errx(EXIT_FAILURE, "%s is not a MAC", digits);
    guest_mac[at] = (unsigned char)byte;
  }
}

static const char *cookie_of(const struct frame *frame) {
  return frame->bytes + frame->length - COOKIE_LENGTH;
}

static long parse_number(const char *text) {
  char *end;
  const long number = strtol(text, &end, 10);
  if (*text == '\0' || *end != '\0' || number < 0) errx(EXIT_FAILURE, "%s is not a number", text);
  return number;
}

/* Everything that is queued; whatever carries the cookie, wherever, has got through. */
static void drain(struct side *side) {
  char buffer[VIRTIO_HEADER_LENGTH + 65536];
  for (;;) {
    const ssize_t size = read(side->tap, buffer, sizeof buffer);
    if (size <= 0) return;
    if (memmem(buffer, (size_t)size, side->awaited, COOKIE_LENGTH) != NULL) side->received++;
  }
}

/*
 * A tap whose device has gone takes frames and drops them (tap_get_user()); only a question about the device tells.
 * The answer needs the lock that devices are made under, so it isn't asked for each frame.
 */
static bool is_there(struct side *side) {
  struct ifreq answer = {0};
  if (side->node != NULL && ioctl(side->tap, SIOCGIFHWADDR, &answer) < 0) {
    side->late += side->unsure;
    side->unsure = 0;
    return false;
  }
  side->written += side->unsure;
  side->unsure = 0;
  return side->node == NULL || memcmp(answer.ifr_hwaddr.sa_data, guest_mac, MAC_LENGTH) == 0;
}

static void leave(struct side *side) {
  drain(side);
  close(side->tap);
  side->tap = -1;
}

/* ENXIO and ENODEV: there is no device of that number now. */
static bool try_open(struct side *side) {
  side->tap = open(side->node, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (side->tap < 0) {
    if (errno != ENXIO && errno != ENODEV && errno != ENOENT) err(EXIT_FAILURE, "%s", side->node);
    return false;
  }
  if (!is_there(side)) {
    leave(side);
    return false;
  }
  side->opened++;
  return true;
}

static void rest(void) {
  if (pause_us > 0) usleep((useconds_t)pause_us);
}

static void rest_while_paused(struct side *side) {
  if (!atomic_load(&paused)) return;
  if (side->tap >= 0 && !is_there(side)) leave(side);
  atomic_store(&side->rests, true);
  while (atomic_load(&paused) && !atomic_load(&stopped)) {
    if (side->tap >= 0) drain(side);
    usleep(NAP_US);
  }
  atomic_store(&side->rests, false);
}

static void *flood(void *argument) {
  struct side *side = argument;
  while (!atomic_load(&stopped)) {
    rest_while_paused(side);
    if (side->tap < 0 && !try_open(side)) {
      /* The gap between a device's registration and its first frame is what is looked for: no pause here. */
      sched_yield();
      continue;
    }
    const ssize_t size = write(side->tap, side->frame.bytes, side->frame.length);
    const bool taken = size == (ssize_t)side->frame.length;
    if (taken) side->unsure++;
    else side->refused++;
    if ((!taken || side->unsure >= FRAMES_PER_QUESTION) && !is_there(side)) {
      leave(side);
      continue;
    }
    drain(side);
    rest();
  }
  if (side->tap >= 0) is_there(side);
  return NULL;
}

static void print_side(const char *name, struct side *side) {
  printf("\"%s\":{\"opened\":%ld,\"written\":%ld,\"late\":%ld,\"received\":%ld,\"refused\":%ld}", name, side->opened,
         side->written, side->late, side->received, side->refused);
}

static void report(struct side *guest, struct side *world) {
  putchar('{');
  print_side("guest", guest);
  putchar(',');
  print_side("world", world);
  puts("}");
  fflush(stdout);
}

static void pause_both(struct side *guest, struct side *world) {
  atomic_store(&paused, true);
  while (!atomic_load(&guest->rests) || !atomic_load(&world->rests)) usleep(NAP_US);
  usleep(LOOK_US);
}

static void resume_both(struct side *guest, struct side *world) {
  atomic_store(&paused, false);
  while (atomic_load(&guest->rests) || atomic_load(&world->rests)) usleep(NAP_US);
}

static void obey(struct side *guest, struct side *world) {
  char command;
  while (read(STDIN_FILENO, &command, 1) > 0) {
    if (command == 'p') pause_both(guest, world);
    if (command == 'c') resume_both(guest, world);
    if (command == 'p' || command == 'r') report(guest, world);
  }
  atomic_store(&stopped, true);
}

static void start(pthread_t *thread, void *(*run)(void *), void *argument) {
  const int error = pthread_create(thread, NULL, run, argument);
  if (error != 0) errx(EXIT_FAILURE, "pthread_create: %s", strerror(error));
}

int main(int argc, char **argv) {
  static struct side guest = {.tap = -1}, world = {.tap = -1};
  pthread_t guest_thread, world_thread;
  if (argc != 7) errx(EXIT_FAILURE, "usage: flooder GUEST_NODE GUEST_MAC WORLD_TAP GUEST_FRAME WORLD_FRAME PAUSE");
  guest.node = argv[1];
  parse_mac(argv[2]);
  world.tap = (int)parse_number(argv[3]);
  guest.frame = parse_frame(argv[4]);
  world.frame = parse_frame(argv[5]);
  pause_us = parse_number(argv[6]);
  memcpy(guest.awaited, cookie_of(&world.frame), COOKIE_LENGTH);
  memcpy(world.awaited, cookie_of(&guest.frame), COOKIE_LENGTH);
  if (memcmp(guest.awaited, world.awaited, COOKIE_LENGTH) == 0) errx(EXIT_FAILURE, "the cookies must differ");
  if (fcntl(world.tap, F_SETFL, O_NONBLOCK) < 0) err(EXIT_FAILURE, "the world's tap");
  puts("ready");
  fflush(stdout);
  start(&guest_thread, flood, &guest);
  start(&world_thread, flood, &world);
  obey(&guest, &world);
  pthread_join(guest_thread, NULL);
  pthread_join(world_thread, NULL);
  usleep(LAST_LOOK_US);
  drain(&world);
  if (guest.tap >= 0) leave(&guest);
  report(&guest, &world);
  return EXIT_SUCCESS;
}
