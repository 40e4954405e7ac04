#include "deadline.h"

#include <algorithm>
#include <cerrno>

#include "failure.h"

namespace tapwall {

int Deadline::Poll(pollfd* files, nfds_t count) const {
  for (;;) {
    // Rounded up: rounding down would turn the last millisecond into a busy loop.
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    const int ready =
        poll(files, count, static_cast<int>(std::clamp<decltype(left)>(left, 0, kMaximumTimeout)));
    if (ready >= 0) return ready;
    if (errno != EINTR) throw SystemCallFailure(errno, "poll");
  }
}

}  // namespace tapwall
