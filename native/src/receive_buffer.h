#ifndef TAPWALL_RECEIVE_BUFFER_H_
#define TAPWALL_RECEIVE_BUFFER_H_

#include <linux/netlink.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "bytes.h"

namespace tapwall {

/**
 * Where datagrams are received one after the other. Each begins on a multiple of NLMSG_ALIGNTO, so that the
 * whole is one run of messages even if the last message of a datagram came without its padding.
 *
 * There is always room for a datagram of `kDatagram` bytes, which costs addresses and not memory: the pages
 * are untouched until the kernel writes to them. The kernel's largest are dumps, 32 KiB but for a single
 * object that is larger than that (net/netlink/af_netlink.c, netlink_dump), so asking for the size of each
 * beforehand (MSG_PEEK, one more system call) would buy nothing.
 */
class ReceiveBuffer {
 public:
  static constexpr size_t kDatagram = 1024 * 1024;

  /** Where a datagram starts that follows `size` bytes. NLMSG_ALIGN computes in 32 bits. */
  static constexpr size_t Align(size_t size) {
    return (size + NLMSG_ALIGNTO - 1) & ~size_t{NLMSG_ALIGNTO - 1};
  }

  /** Forgets what was received. */
  void Clear();

  /** Where the next datagram goes: `kDatagram` bytes, until the next call here. Throws std::bad_alloc. */
  uint8_t* NextDatagram();

  /** The next datagram has arrived, so many bytes of it. */
  void Append(size_t size) { size_ += size; }

  size_t size() const { return size_; }

  /** What was received from `start` on; valid until the next call of any other function. */
  Bytes From(size_t start) const { return {memory_.get() + start, size_ - start}; }

 private:
  struct Free {
    void operator()(uint8_t* memory) const { free(memory); }
  };

  // From malloc and not new[]: realloc moves pages instead of copying them (mremap(2)).
  std::unique_ptr<uint8_t, Free> memory_;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

}  // namespace tapwall

#endif  // TAPWALL_RECEIVE_BUFFER_H_
