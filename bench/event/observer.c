/*
 * Sees from outside how long a new device is without its filter.
 *
 *   observer NAMESPACE PARENT COUNT paced|burst table|element|none
 *
 * One process makes COUNT macvtap devices on the link PARENT of the namespace; this one listens to the kernel's
 * notifications of links (RTNLGRP_LINK) and of nf_tables (NFNLGRP_NFTABLES) and notes when each arrives. In `burst`
 * the devices are made one after the other without a pause; `paced`, each waits until the filter of the one before
 * has been seen.
 *
 * On standard output: `ready` when both groups are joined. Devices are made from the first line on standard input on.
 * At the end, times in nanoseconds of CLOCK_MONOTONIC:
 *
 *   link TIME INDEX NAME       the first notification of a device
 *   filter TIME INDEX NAME     the first notification of its filter, which the kernel sends behind the commit: with
 *                              `table` that of a table of its own, with `element` that of the element of the map
 *                              device.policy which gives it a policy; with `none` no filter is waited for
 *   create BEFORE AFTER        around sendmsg(2) and the acknowledgement, in the order of the devices
 *   lost                       notifications were lost
 *   priority NUMBER            the real-time priority of the listeners, 0 if they have none
 *
 * There is one listener for each of up to four cores, bound to it and at a real-time priority, and the earliest of
 * their times counts. Where kernel code is not preempted, a core that is in a system call, such as the creator's,
 * cannot run a listener before that ends; and a listener without priority would wait while the agent works. Either
 * would note the device's arrival late, and make the agent look faster than it is.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "../clock.h"
#include "../namespace.h"

enum {
  LARGEST_COUNT = 10000,
  RECEIVE_BUFFER = 64 << 20,
  DATAGRAM = 1 << 20,
  /* Nothing for so long: something is wrong, and what was seen is told. */
  PATIENCE_MS = 10000,
  PRIORITY = 10,
  MOST_LISTENERS = 4,
};

struct sighting {
  int64_t time;
  uint32_t index;
  char name[64];
};

struct sightings {
  struct sighting *list;
  size_t count;
};

struct creation {
  int64_t before, after;
};

struct creator {
  pid_t process;
  /* One byte for each device that it may make. */
  int pace;
  /* Shared with the process. */
  struct creation *creations;
};

/* What all listeners have in common. */
struct run {
  size_t count;
  bool paced;
  /* What a device's filter is known by; NULL when none is waited for. */
  mnl_cb_t on_filter;
  const struct creator *creator;
  /* How many devices the creator may have made. */
  atomic_size_t allowed;
};

struct listener {
  struct run *run;
  int core;
  struct mnl_socket *route, *netfilter;
  struct sightings links, filters;
  char *buffer;
  int priority;
  bool lost;
};

/* What the callbacks of one datagram note in. */
struct context {
  struct sightings *sightings;
  int64_t now;
};

static void *allocate(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) err(EXIT_FAILURE, "calloc");
  /* Written to now, so that no page is fetched while something is measured. */
  memset(memory, 1, count * size);
  return memory;
}

/* An index is seen again on every change of its device; only the first counts. Indexes of one run are close. */
static void note(struct context *context, uint32_t index, const char *name) {
  struct sightings *sightings = context->sightings;
  for (size_t i = sightings->count; i-- > 0;) {
    if (sightings->list[i].index == index) return;
  }
  if (sightings->count == LARGEST_COUNT) return;
  struct sighting *sighting = &sightings->list[sightings->count++];
  sighting->time = context->now;
  sighting->index = index;
  snprintf(sighting->name, sizeof sighting->name, "%s", name);
}

static int on_link_attribute(const struct nlattr *attribute, void *data) {
  const char **name = data;
  if (mnl_attr_get_type(attribute) == IFLA_IFNAME) *name = mnl_attr_get_str(attribute);
  return MNL_CB_OK;
}

static int on_link(const struct nlmsghdr *message, void *data) {
  const struct ifinfomsg *link = mnl_nlmsg_get_payload(message);
  const char *name = "";
  if (message->nlmsg_type != RTM_NEWLINK) return MNL_CB_OK;
  mnl_attr_parse(message, sizeof *link, on_link_attribute, &name);
  if (strncmp(name, "macvtap", strlen("macvtap")) == 0) note(data, (uint32_t)link->ifi_index, name);
  return MNL_CB_OK;
}

static int on_table_attribute(const struct nlattr *attribute, void *data) {
  const char **name = data;
  if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME) *name = mnl_attr_get_str(attribute);
  return MNL_CB_OK;
}

static int on_table(const struct nlmsghdr *message, void *data) {
  const char *name = "";
  unsigned int index;
  if (message->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE)) return MNL_CB_OK;
  mnl_attr_parse(message, sizeof(struct nfgenmsg), on_table_attribute, &name);
  if (sscanf(name, "tapwall.%u.", &index) == 1) note(data, index, name);
  return MNL_CB_OK;
}

/* The attribute of one type in a nest; NULL for none. */
static const struct nlattr *find(const struct nlattr *nest, uint16_t type) {
  const struct nlattr *attribute;
  if (nest == NULL) return NULL;
  mnl_attr_for_each_nested(attribute, nest) {
    if (mnl_attr_get_type(attribute) == type) return attribute;
  }
  return NULL;
}

/* An element of device.policy has the interface index as its key, in the byte order of the host. */
static int on_element(const struct nlmsghdr *message, void *data) {
  const struct nlattr *attribute, *elements = NULL;
  const char *set = "";
  if (message->nlmsg_type != ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWSETELEM)) return MNL_CB_OK;
  mnl_attr_for_each(attribute, message, sizeof(struct nfgenmsg)) {
    if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_LIST_SET) set = mnl_attr_get_str(attribute);
    if (mnl_attr_get_type(attribute) == NFTA_SET_ELEM_LIST_ELEMENTS) elements = attribute;
  }
  if (elements == NULL || strcmp(set, "device.policy") != 0) return MNL_CB_OK;
  mnl_attr_for_each_nested(attribute, elements) {
    const struct nlattr *key = find(find(attribute, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
    if (key != NULL && mnl_attr_get_payload_len(key) == sizeof(uint32_t)) note(data, mnl_attr_get_u32(key), set);
  }
  return MNL_CB_OK;
}

static struct mnl_socket *open_group(int protocol, int group) {
  const int size = RECEIVE_BUFFER;
  struct mnl_socket *socket = mnl_socket_open2(protocol, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (socket == NULL) err(EXIT_FAILURE, "socket");
  if (setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0) err(EXIT_FAILURE, "SO_RCVBUFFORCE");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) err(EXIT_FAILURE, "bind");
  if (mnl_socket_setsockopt(socket, NETLINK_ADD_MEMBERSHIP, (void *)&group, sizeof group) < 0) err(EXIT_FAILURE, "NETLINK_ADD_MEMBERSHIP");
  return socket;
}

/* Reads one datagram if there is one, and notes what is in it with the time at which it was had. */
static void receive(struct listener *listener, struct mnl_socket *socket, mnl_cb_t callback, struct sightings *sightings) {
  const ssize_t size = mnl_socket_recvfrom(socket, listener->buffer, DATAGRAM);
  struct context context = {sightings, monotonic_ns()};
  if (size < 0) {
    if (errno == ENOBUFS) listener->lost = true;
    else if (errno != EAGAIN) err(EXIT_FAILURE, "recvmsg");
    return;
  }
  if (mnl_cb_run(listener->buffer, (size_t)size, 0, 0, callback, &context) < 0) err(EXIT_FAILURE, "a notification");
}

static size_t build_device(char *buffer, int parent, unsigned int number) {
  const unsigned char address[6] = {0x52, 0x54, 0, (unsigned char)(number >> 16), (unsigned char)(number >> 8), (unsigned char)number};
  char name[IFNAMSIZ];
  struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);
  snprintf(name, sizeof name, "macvtap%u", number);
  message->nlmsg_type = RTM_NEWLINK;
  message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  message->nlmsg_seq = number + 1;
  mnl_nlmsg_put_extra_header(message, sizeof(struct ifinfomsg));
  mnl_attr_put_strz(message, IFLA_IFNAME, name);
  mnl_attr_put(message, IFLA_ADDRESS, sizeof address, address);
  mnl_attr_put_u32(message, IFLA_LINK, (uint32_t)parent);
  struct nlattr *info = mnl_attr_nest_start(message, IFLA_LINKINFO);
  mnl_attr_put_strz(message, IFLA_INFO_KIND, "macvtap");
  struct nlattr *data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
  mnl_attr_put_u32(message, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
  mnl_attr_nest_end(message, data);
  mnl_attr_nest_end(message, info);
  return message->nlmsg_len;
}

/* The creator's process: one device for each byte on `pace`. Like libvirt, it makes them down. */
static void create_devices(int pace, const char *parent_name, unsigned int count, struct creation *creations) {
  char request[512], answer[8192], byte;
  const int parent = (int)if_nametoindex(parent_name);
  struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
  if (parent == 0) err(EXIT_FAILURE, "%s", parent_name);
  if (socket == NULL || mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) err(EXIT_FAILURE, "socket");
  for (unsigned int number = 0; number < count; number++) {
    const size_t length = build_device(request, parent, number);
    if (read(pace, &byte, 1) != 1) exit(EXIT_SUCCESS);
    creations[number].before = monotonic_ns();
    if (mnl_socket_sendto(socket, request, length) < 0) err(EXIT_FAILURE, "sendto");
    const ssize_t size = mnl_socket_recvfrom(socket, answer, sizeof answer);
    if (size < 0 || mnl_cb_run(answer, (size_t)size, number + 1, mnl_socket_get_portid(socket), NULL, NULL) < 0) {
      err(EXIT_FAILURE, "macvtap%u", number);
    }
    creations[number].after = monotonic_ns();
  }
  exit(EXIT_SUCCESS);
}

static struct creator start_creator(const char *parent, unsigned int count) {
  struct creator creator;
  int pipe[2];
  const size_t size = count * sizeof *creator.creations;
  creator.creations = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (creator.creations == MAP_FAILED) err(EXIT_FAILURE, "mmap");
  if (pipe2(pipe, O_CLOEXEC) < 0) err(EXIT_FAILURE, "pipe2");
  creator.pace = pipe[1];
  creator.process = fork();
  if (creator.process < 0) err(EXIT_FAILURE, "fork");
  if (creator.process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(pipe[1]);
    create_devices(pipe[0], parent, count, creator.creations);
  }
  close(pipe[0]);
  return creator;
}

/* Lets the creator make so many devices. A pipe holds 64 KiB, so this does not block. */
static void allow(const struct creator *creator, size_t devices) {
  static const char bytes[LARGEST_COUNT];
  if (write(creator->pace, bytes, devices) != (ssize_t)devices) err(EXIT_FAILURE, "the creator");
}

/* The process is in the namespace already, and so are its sockets. */
static void prepare_listener(struct listener *listener, struct run *run, int core) {
  *listener = (struct listener){.run = run, .core = core};
  listener->route = open_group(NETLINK_ROUTE, RTNLGRP_LINK);
  listener->netfilter = open_group(NETLINK_NETFILTER, NFNLGRP_NFTABLES);
  listener->links.list = allocate(LARGEST_COUNT, sizeof *listener->links.list);
  listener->filters.list = allocate(LARGEST_COUNT, sizeof *listener->filters.list);
  listener->buffer = allocate(1, DATAGRAM);
}

static void settle_on_core(struct listener *listener) {
  const struct sched_param parameter = {.sched_priority = PRIORITY};
  cpu_set_t cores;
  CPU_ZERO(&cores);
  CPU_SET(listener->core, &cores);
  if (sched_setaffinity(0, sizeof cores, &cores) < 0) err(EXIT_FAILURE, "sched_setaffinity");
  if (sched_setscheduler(0, SCHED_FIFO, &parameter) == 0) listener->priority = PRIORITY;
}

/* Whichever listener sees the last filter first lets the next device be made. */
static void keep_pace(struct listener *listener) {
  struct run *run = listener->run;
  size_t seen = listener->filters.count;
  if (!run->paced || seen >= run->count) return;
  if (atomic_compare_exchange_strong(&run->allowed, &seen, seen + 1)) allow(run->creator, 1);
}

static void *listen_to_kernel(void *data) {
  struct listener *listener = data;
  const size_t count = listener->run->count;
  struct pollfd files[] = {
      {mnl_socket_get_fd(listener->route), POLLIN, 0},
      {mnl_socket_get_fd(listener->netfilter), POLLIN, 0},
      {STDIN_FILENO, POLLIN, 0}, /* At its end, whoever asked is gone. */
  };
  settle_on_core(listener);
  const mnl_cb_t on_filter = listener->run->on_filter;
  while (listener->links.count < count || (on_filter != NULL && listener->filters.count < count)) {
    const int ready = poll(files, 3, PATIENCE_MS);
    if (ready < 0) err(EXIT_FAILURE, "poll");
    if (ready == 0) break;
    if (files[2].revents != 0) exit(EXIT_FAILURE);
    receive(listener, listener->route, on_link, &listener->links);
    if (on_filter != NULL) receive(listener, listener->netfilter, on_filter, &listener->filters);
    keep_pace(listener);
  }
  return NULL;
}

/* Prints what one listener saw at the earliest time at which any did. */
static void print_sightings(const char *kind, const struct sightings *all[], size_t listeners) {
  for (size_t i = 0; i < all[0]->count; i++) {
    struct sighting first = all[0]->list[i];
    for (size_t other = 1; other < listeners; other++) {
      for (size_t j = 0; j < all[other]->count; j++) {
        const struct sighting *sighting = &all[other]->list[j];
        if (sighting->index == first.index && sighting->time < first.time) first = *sighting;
      }
    }
    printf("%s %lld %u %s\n", kind, (long long)first.time, first.index, first.name);
  }
}

/* One for each core that the process may use. */
static size_t prepare_listeners(struct listener *listeners, struct run *run) {
  size_t count = 0;
  cpu_set_t cores;
  if (sched_getaffinity(0, sizeof cores, &cores) < 0) err(EXIT_FAILURE, "sched_getaffinity");
  for (int core = 0; core < CPU_SETSIZE && count < MOST_LISTENERS; core++) {
    if (CPU_ISSET(core, &cores)) prepare_listener(&listeners[count++], run, core);
  }
  return count;
}

static void run_listeners(struct listener *listeners, size_t count) {
  pthread_t threads[MOST_LISTENERS];
  for (size_t i = 0; i < count; i++) {
    errno = pthread_create(&threads[i], NULL, listen_to_kernel, &listeners[i]);
    if (errno != 0) err(EXIT_FAILURE, "pthread_create");
  }
  for (size_t i = 0; i < count; i++) pthread_join(threads[i], NULL);
}

static void print_results(const struct listener *listeners, size_t listener_count, const struct creator *creator, size_t count) {
  const struct sightings *links[MOST_LISTENERS], *filters[MOST_LISTENERS];
  int priority = PRIORITY;
  for (size_t i = 0; i < listener_count; i++) {
    links[i] = &listeners[i].links;
    filters[i] = &listeners[i].filters;
    if (listeners[i].priority < priority) priority = listeners[i].priority;
    if (listeners[i].lost) puts("lost");
  }
  print_sightings("link", links, listener_count);
  print_sightings("filter", filters, listener_count);
  for (size_t i = 0; i < count && creator->creations[i].after != 0; i++) {
    printf("create %lld %lld\n", (long long)creator->creations[i].before, (long long)creator->creations[i].after);
  }
  printf("priority %d\n", priority);
}

int main(int argc, char **argv) {
  const long count = argc == 6 ? strtol(argv[3], NULL, 10) : 0;
  if (argc != 6 || count < 1 || count > LARGEST_COUNT) errx(EXIT_FAILURE, "usage: observer NAMESPACE PARENT COUNT paced|burst table|element|none");
  enter_namespace(argv[1]);

  /* Before there is a thread: the creator is a process of one. */
  struct creator creator = start_creator(argv[2], (unsigned int)count);
  struct run run = {
      .count = (size_t)count,
      .paced = strcmp(argv[4], "paced") == 0,
      .on_filter = strcmp(argv[5], "table") == 0 ? on_table : strcmp(argv[5], "element") == 0 ? on_element : NULL,
      .creator = &creator,
  };
  struct listener listeners[MOST_LISTENERS];
  const size_t listener_count = prepare_listeners(listeners, &run);
  puts("ready");
  fflush(stdout);

  char line[64];
  if (fgets(line, sizeof line, stdin) == NULL) return EXIT_FAILURE;
  atomic_init(&run.allowed, 1);
  allow(&creator, run.paced ? 1 : run.count);
  run_listeners(listeners, listener_count);
  close(creator.pace);
  waitpid(creator.process, NULL, 0);
  print_results(listeners, listener_count, &creator, run.count);
  return EXIT_SUCCESS;
}
