#ifndef TAPWALL_DEADLINE_H_
#define TAPWALL_DEADLINE_H_

#include <poll.h>
#include <sys/epoll.h>

#include <chrono>

namespace tapwall {

/** The longest time-out that poll(2) takes, in milliseconds. */
inline constexpr int kMaximumTimeout = 2147483647;

/** A point in time that neither an interrupted call nor a change of the wall clock moves. */
class Deadline {
 public:
  explicit Deadline(int milliseconds) : end_(Clock::now() + std::chrono::milliseconds(milliseconds)) {}

  bool HasPassed() const { return Clock::now() >= end_; }

  /**
   * poll(2) until then, repeated after a signal.
   * @returns how many of `files` have something to report; 0 once the deadline has passed.
   */
  int Poll(pollfd* files, nfds_t count) const;

  /** epoll_wait(2) in the same way, for at most `count` events. */
  int Epoll(int poller, epoll_event* events, int count) const;

 private:
  using Clock = std::chrono::steady_clock;

  /** Milliseconds, rounded up: rounding down would turn the last one into a busy loop. */
  int Left() const;

  Clock::time_point end_;
};

}  // namespace tapwall

#endif  // TAPWALL_DEADLINE_H_
