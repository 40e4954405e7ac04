#ifndef TAPWALL_WAKER_H_
#define TAPWALL_WAKER_H_

#include <napi.h>

#include "unique_fd.h"
#include "wrapped.h"

namespace tapwall {

/**
 * NativeWaker: an eventfd(2). The thread that waits knows only the descriptor's number, so whoever made the
 * waker keeps it until that thread has ended: the number of a closed one may be given to another file.
 */
class Waker : public Wrapped<Waker> {
 public:
  static constexpr const char* kName = "Waker";
  static constexpr napi_type_tag kTypeTag = {0x0b7cf8a2d0c14f4b, 0x8f0f0f5d3a1e9b64};

  static Napi::Function Define(Napi::Env env);

  explicit Waker(const Napi::CallbackInfo& info);

 private:
  Napi::Value GetFd(const Napi::CallbackInfo& info);
  Napi::Value Signal(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  UniqueFd fd_;
};

/** Takes the signals that are pending on a waker's descriptor, as if there had been one. */
void ResetWaker(int fd);

}  // namespace tapwall

#endif  // TAPWALL_WAKER_H_
