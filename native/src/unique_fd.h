#ifndef TAPWALL_UNIQUE_FD_H_
#define TAPWALL_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace tapwall {

/** Owns one file descriptor; -1 owns nothing. */
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    Reset(other.Release());
    return *this;
  }
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd() { Reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int Release() { return std::exchange(fd_, -1); }

  void Reset(int fd = -1) {
    const int old = std::exchange(fd_, fd);
    // Never repeated on EINTR: Linux has released the descriptor by then, and its number may be somebody
    // else's (close(2)).
    if (old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace tapwall

#endif  // TAPWALL_UNIQUE_FD_H_
