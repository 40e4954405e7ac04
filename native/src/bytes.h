#ifndef TAPWALL_BYTES_H_
#define TAPWALL_BYTES_H_

#include <cstddef>
#include <cstdint>

namespace tapwall {

/** Bytes that somebody else owns. */
struct Bytes {
  const uint8_t* data = nullptr;
  size_t size = 0;
};

}  // namespace tapwall

#endif  // TAPWALL_BYTES_H_
