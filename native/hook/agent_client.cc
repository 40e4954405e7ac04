#include "agent_client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <optional>

#include "../src/unique_fd.h"
#include "json.h"

namespace tapwall::hook {
namespace {

/** More than any message; an agent that sends more is none. */
constexpr size_t kLargestAnswer = 1 << 20;
/** How much sooner than the hook the agent gives up waiting for devices, so that its own words arrive. */
constexpr int kMarginMs = 500;

Answer Failed(const std::string& message) { return {true, {false, message}}; }

bool Await(int fd, short events, const Deadline& deadline) {
  for (;;) {
    pollfd waiting = {fd, events, 0};
    const int ready = poll(&waiting, 1, deadline.Left());
    if (ready > 0) return true;
    if (ready == 0 || errno != EINTR) return false;
  }
}

bool SendAll(int fd, const std::string& text, const Deadline& deadline) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t sent = send(fd, text.data() + at, text.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      at += static_cast<size_t>(sent);
    } else if (errno != EINTR && !(errno == EAGAIN && Await(fd, POLLOUT, deadline))) {
      return false;
    }
  }
  return true;
}

std::optional<std::string> ReceiveLine(int fd, const Deadline& deadline) {
  std::string line;
  while (line.size() < kLargestAnswer && Await(fd, POLLIN, deadline)) {
    char chunk[4096];
    const ssize_t size = recv(fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size <= 0) break;
    line.append(chunk, static_cast<size_t>(size));
    if (line.find('\n') != std::string::npos) return line;
  }
  return std::nullopt;
}

std::string RequestFor(const HookOptions& options, const std::string& xml, int wait_ms) {
  return "{\"version\":1,\"id\":1,\"request\":\"libvirt\",\"guest\":" + Quote(options.guest) +
         ",\"operation\":" + Quote(options.operation) + ",\"domain\":" + Quote(xml) +
         ",\"waitMs\":" + std::to_string(wait_ms) + "}\n";
}

Answer Read(const std::string& line) {
  const std::string message = TextOf(line, "message").value_or("");
  if (!Has(line, "ok", "true")) return Failed(message.empty() ? "the agent gave no answer" : message);
  return {true, {Has(line, "admitted", "true"), message}};
}

}  // namespace

Answer AskAgent(const HookOptions& options, const std::string& xml, const Deadline& deadline) {
  sockaddr_un address = {};
  if (options.socket.size() >= sizeof address.sun_path) return Failed("the control socket's path is too long");
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, options.socket.data(), options.socket.size());
  const UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) return Failed("cannot make a socket: " + std::string(strerror(errno)));
  // A queue that is full is waited for (unix(7)), for as long as SO_SNDTIMEO says.
  const timeval patience = {deadline.Left() / 1000, (deadline.Left() % 1000) * 1000 + 1};
  setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    // What an agent that is not running leaves: no socket, or one that nobody listens on.
    if (errno == ENOENT || errno == ECONNREFUSED) return {false, {false, ""}};
    return Failed("cannot reach the agent at " + options.socket + ": " + strerror(errno));
  }
  const int wait_ms = std::max(deadline.Left() - kMarginMs, 0);
  if (!SendAll(fd.get(), RequestFor(options, xml, wait_ms), deadline)) {
    return Failed("the agent does not listen: " + std::string(strerror(errno)));
  }
  const std::optional<std::string> line = ReceiveLine(fd.get(), deadline);
  return line ? Read(*line) : Failed("the agent gave no answer in time");
}

}  // namespace tapwall::hook
