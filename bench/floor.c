/*
 * The floor: what a program costs that only sends tapwall's bytes to the kernel and reads the answer. It builds
 * nothing and decides nothing, so nothing that attaches in this way can be faster.
 *
 *   floor NAMESPACE ATTACH [DETACH]
 *
 * NAMESPACE is the path of a network namespace; ATTACH and DETACH are files with one transaction or several. For each
 * line on standard input one line is written: nanoseconds from before the first sendmsg(2) to behind the kernel's last
 * acknowledgement, or `! ` and what went wrong.
 *
 *   attach         sends the transactions of ATTACH
 *   detach         those of DETACH
 *   pairs NUMBER   both in turn, so often; all figures on one line
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "namespace.h"

enum {
  MOST_TRANSACTIONS = 64,
  /* No transaction of tapwall's is larger by much; the system's default would refuse it. */
  SEND_BUFFER = 4 << 20,
};

struct bytes {
  char *data;
  size_t size;
};

/* One after the other, each waits for its acknowledgement. */
struct script {
  struct bytes transactions[MOST_TRANSACTIONS];
  size_t count;
};

static struct bytes read_file(const char *path) {
  struct bytes bytes = {NULL, 0};
  struct stat status;
  FILE *file = fopen(path, "re");
  if (file == NULL || fstat(fileno(file), &status) < 0) err(EXIT_FAILURE, "%s", path);
  bytes.size = (size_t)status.st_size;
  bytes.data = malloc(bytes.size);
  if (bytes.data == NULL || fread(bytes.data, 1, bytes.size, file) != bytes.size) err(EXIT_FAILURE, "%s", path);
  fclose(file);
  return bytes;
}

/* A transaction ends behind its BATCH_END. */
static struct script read_script(const char *path) {
  const struct bytes file = read_file(path);
  struct script script = {.count = 0};
  size_t start = 0;
  for (size_t offset = 0; offset < file.size;) {
    const struct nlmsghdr *message = (const struct nlmsghdr *)(file.data + offset);
    if (message->nlmsg_len < sizeof *message || message->nlmsg_len > file.size - offset) errx(EXIT_FAILURE, "%s is not a transaction", path);
    offset += MNL_ALIGN(message->nlmsg_len);
    if (message->nlmsg_type != NFNL_MSG_BATCH_END) continue;
    if (script.count == MOST_TRANSACTIONS) errx(EXIT_FAILURE, "%s has more than %d transactions", path, MOST_TRANSACTIONS);
    script.transactions[script.count++] = (struct bytes){file.data + start, offset - start};
    start = offset;
  }
  return script;
}

/* With the options of tapwall's own socket, so that the kernel has the same to do. */
static struct mnl_socket *open_socket(void) {
  const int on = 1, size = SEND_BUFFER;
  struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (socket == NULL) err(EXIT_FAILURE, "socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) err(EXIT_FAILURE, "bind");
  if (mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, (void *)&on, sizeof on) < 0) err(EXIT_FAILURE, "NETLINK_EXT_ACK");
  if (mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, (void *)&on, sizeof on) < 0) err(EXIT_FAILURE, "NETLINK_CAP_ACK");
  if (setsockopt(mnl_socket_get_fd(socket), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) < 0) err(EXIT_FAILURE, "SO_SNDBUFFORCE");
  return socket;
}

/* The last message of a transaction is the only one that asks for an acknowledgement, and an error comes first. */
static bool send_transaction(struct mnl_socket *socket, struct bytes transaction) {
  char answer[8192];
  if (mnl_socket_sendto(socket, transaction.data, transaction.size) < 0) return false;
  const ssize_t size = mnl_socket_recvfrom(socket, answer, sizeof answer);
  return size >= 0 && mnl_cb_run(answer, (size_t)size, 0, mnl_socket_get_portid(socket), NULL, NULL) >= 0;
}

/* Prints nanoseconds, or what went wrong. */
static bool run(struct mnl_socket *socket, const struct script *script) {
  const int64_t start = monotonic_ns();
  for (size_t i = 0; i < script->count; i++) {
    if (send_transaction(socket, script->transactions[i])) continue;
    printf("! transaction %zu: %s\n", i + 1, strerror(errno));
    return false;
  }
  printf("%lld ", (long long)(monotonic_ns() - start));
  return true;
}

int main(int argc, char **argv) {
  if (argc != 3 && argc != 4) errx(EXIT_FAILURE, "usage: floor NAMESPACE ATTACH [DETACH]");
  enter_namespace(argv[1]);
  const struct script attach = read_script(argv[2]);
  const struct script detach = argc == 4 ? read_script(argv[3]) : (struct script){.count = 0};
  struct mnl_socket *socket = open_socket();
  char line[64];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    unsigned int pairs;
    if (strcmp(line, "attach\n") == 0) {
      run(socket, &attach);
    } else if (strcmp(line, "detach\n") == 0) {
      run(socket, &detach);
    } else if (sscanf(line, "pairs %u", &pairs) == 1) {
      while (pairs-- > 0 && run(socket, &attach) && run(socket, &detach));
    }
    putchar('\n');
    fflush(stdout);
  }
  mnl_socket_close(socket);
  return EXIT_SUCCESS;
}
