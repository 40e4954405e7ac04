#include "receive_buffer.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace tapwall {

void ReceiveBuffer::Clear() {
  size_ = 0;
  // One large dump must not be carried about for the rest of a socket's life.
  if (capacity_ > 4 * kDatagram) {
    memory_.reset();
    capacity_ = 0;
  }
}

uint8_t* ReceiveBuffer::NextDatagram() {
  const size_t start = Align(size_);
  if (capacity_ - size_ < NLMSG_ALIGNTO + kDatagram) {
    const size_t capacity = std::max(start + 2 * kDatagram, 2 * capacity_);
    auto* memory = static_cast<uint8_t*>(realloc(memory_.get(), capacity));
    if (memory == nullptr) throw std::bad_alloc();
    memory_.release();
    memory_.reset(memory);
    capacity_ = capacity;
  }
  memset(memory_.get() + size_, 0, start - size_);
  size_ = start;
  return memory_.get() + start;
}

}  // namespace tapwall
