#include "input.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace tapwall::hook {
namespace {

/** As LARGEST_DOMAIN_BYTES of src/libvirt/operation.ts. */
constexpr size_t kLargestDomain = 512 << 10;

}  // namespace

std::optional<std::string> ReadInput(const Deadline& deadline) {
  std::string text;
  for (;;) {
    pollfd waiting = {STDIN_FILENO, POLLIN, 0};
    const int ready = poll(&waiting, 1, deadline.Left());
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return std::nullopt;
    char chunk[65536];
    const ssize_t size = read(STDIN_FILENO, chunk, sizeof chunk);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::nullopt;
    if (size == 0) return text;
    text.append(chunk, static_cast<size_t>(size));
    if (text.size() > kLargestDomain) return std::nullopt;
  }
}

}  // namespace tapwall::hook
