#ifndef TAPWALL_POLLER_H_
#define TAPWALL_POLLER_H_

#include <napi.h>

#include "unique_fd.h"
#include "wrapped.h"

namespace tapwall {

/**
 * NativePoller: an epoll(7) of any number of files, and a waker (waker.h). Waiting costs what is ready and not what is
 * waited for. A file that is closed leaves it by itself, as nobody else has the descriptor.
 */
class Poller : public Wrapped<Poller> {
 public:
  static constexpr const char* kName = "Poller";
  static constexpr napi_type_tag kTypeTag = {0x5a0f6e1b7d934c28, 0xa7c2d48e91b3f605};

  static Napi::Function Define(Napi::Env env);

  explicit Poller(const Napi::CallbackInfo& info);

 private:
  Napi::Value Add(const Napi::CallbackInfo& info);
  Napi::Value Remove(const Napi::CallbackInfo& info);
  Napi::Value Wait(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  int Open(const char* syscall) const;

  int waker_;
  UniqueFd fd_;
};

}  // namespace tapwall

#endif  // TAPWALL_POLLER_H_
