#ifndef TAPWALL_HOOK_CLOCK_H_
#define TAPWALL_HOOK_CLOCK_H_

#include <algorithm>
#include <chrono>

namespace tapwall::hook {

/** libvirt waits for its hooks for ever, so they have to end by themselves. */
class Deadline {
 public:
  explicit Deadline(int milliseconds) : end_(Clock::now() + std::chrono::milliseconds(milliseconds)) {}

  /** Milliseconds that are left, rounded up, as poll(2) takes them; 0 when there are none. */
  int Left() const {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end_ - Clock::now()).count();
    return static_cast<int>(std::max<decltype(left)>(left, 0));
  }

 private:
  using Clock = std::chrono::steady_clock;
  Clock::time_point end_;
};

}  // namespace tapwall::hook

#endif  // TAPWALL_HOOK_CLOCK_H_
