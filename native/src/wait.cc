#include "wait.h"

#include <array>
#include <limits>
#include <vector>

#include "arguments.h"
#include "deadline.h"
#include "failure.h"
#include "socket.h"
#include "waker.h"

namespace tapwall {
namespace {

constexpr size_t kMaximumSockets = 31;
constexpr uint32_t kWakerBit = uint32_t{1} << 31;

}  // namespace

Napi::Value Wait(const Napi::CallbackInfo& info) {
  // All elements are read before any socket is looked into: an array's accessors are JavaScript, and may
  // close what was read before.
  const std::vector<Napi::Value> sockets = ReadList(info[0], "sockets", kMaximumSockets);
  const int waker = static_cast<int>(ReadInteger(info[1], "waker", -1, std::numeric_limits<int>::max()));
  const int timeout = static_cast<int>(ReadInteger(info[2], "timeoutMs", 0, kMaximumTimeout));

  std::array<pollfd, kMaximumSockets + 1> files;
  size_t count = 0;
  for (const Napi::Value& socket : sockets) {
    files[count++] = {Socket::From(socket, "Each element of sockets").FdFor("poll"), POLLIN, 0};
  }
  files[count] = {waker, POLLIN, 0};

  uint32_t ready = 0;
  if (Deadline(timeout).Poll(files.data(), count + 1) > 0) {
    for (size_t i = 0; i <= count; ++i) {
      if (files[i].revents == 0) continue;
      if ((files[i].revents & POLLNVAL) != 0) throw SystemCallFailure(EBADF, "poll");
      ready |= i < count ? uint32_t{1} << i : kWakerBit;
    }
    // Last, so that no failure can lose a signal.
    if ((ready & kWakerBit) != 0) ResetWaker(waker);
  }
  return Napi::Number::New(info.Env(), ready);
}

}  // namespace tapwall
