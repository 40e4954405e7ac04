/*
 * The floor: what a program costs that only sends tapwall's bytes to the kernel and reads the answer. It builds
 * nothing and decides nothing, so nothing that attaches in this way can be faster.
 *
 *   floor NAMESPACE BATCH
 *
 * NAMESPACE is the path of a network namespace, BATCH a file with a transaction. For each line on standard input
 * the transaction is sent once, and one line is written: the nanoseconds from before sendmsg(2) to behind the
 * kernel's acknowledgement, or `! ` and what went wrong.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>

#include "../clock.h"
#include "../namespace.h"

struct bytes {
  char *data;
  size_t size;
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

/* With the options of tapwall's own socket, so that the kernel has the same to do. */
static struct mnl_socket *open_socket(void) {
  const int on = 1;
  struct mnl_socket *socket = mnl_socket_open2(NETLINK_NETFILTER, SOCK_CLOEXEC);
  if (socket == NULL) err(EXIT_FAILURE, "socket");
  if (mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID) < 0) err(EXIT_FAILURE, "bind");
  if (mnl_socket_setsockopt(socket, NETLINK_EXT_ACK, (void *)&on, sizeof on) < 0) err(EXIT_FAILURE, "NETLINK_EXT_ACK");
  if (mnl_socket_setsockopt(socket, NETLINK_CAP_ACK, (void *)&on, sizeof on) < 0) err(EXIT_FAILURE, "NETLINK_CAP_ACK");
  return socket;
}

/*
 * The last message of the batch is the only one that asks for an acknowledgement, and an error comes first.
 * Returns nanoseconds, or -1 and errno.
 */
static int64_t send_batch(struct mnl_socket *socket, struct bytes batch) {
  char answer[8192];
  const int64_t start = monotonic_ns();
  if (mnl_socket_sendto(socket, batch.data, batch.size) < 0) return -1;
  const ssize_t size = mnl_socket_recvfrom(socket, answer, sizeof answer);
  if (size < 0) return -1;
  if (mnl_cb_run(answer, (size_t)size, 0, mnl_socket_get_portid(socket), NULL, NULL) < 0) return -1;
  return monotonic_ns() - start;
}

int main(int argc, char **argv) {
  if (argc != 3) errx(EXIT_FAILURE, "usage: floor NAMESPACE BATCH");
  enter_namespace(argv[1]);
  const struct bytes batch = read_file(argv[2]);
  struct mnl_socket *socket = open_socket();
  char line[64];
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin) != NULL) {
    const int64_t elapsed = send_batch(socket, batch);
    if (elapsed < 0) {
      printf("! %s\n", strerror(errno));
    } else {
      printf("%lld\n", (long long)elapsed);
    }
    fflush(stdout);
  }
  mnl_socket_close(socket);
  free(batch.data);
  return EXIT_SUCCESS;
}
