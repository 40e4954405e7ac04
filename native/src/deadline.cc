#include "deadline.h"

#include <algorithm>
#include <cerrno>

#include "failure.h"

namespace tapwall {

int Deadline::Left() const {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
  return static_cast<int>(std::clamp<decltype(left)>(left, 0, kMaximumTimeout));
}

int Deadline::Poll(pollfd* files, nfds_t count) const {
  for (;;) {
    const int ready = poll(files, count, Left());
    if (ready >= 0) return ready;
    if (errno != EINTR) throw SystemCallFailure(errno, "poll");
  }
}

int Deadline::Epoll(int poller, epoll_event* events, int count) const {
  for (;;) {
    const int ready = epoll_wait(poller, events, count, Left());
    if (ready >= 0) return ready;
    if (errno != EINTR) throw SystemCallFailure(errno, "epoll_wait");
  }
}

}  // namespace tapwall
