#include "waker.h"

#include <sys/eventfd.h>
#include <unistd.h>

namespace tapwall {

Napi::Function Waker::Define(Napi::Env env) {
  return DefineClass(
      env, {Getter<&Waker::GetFd>("fd"), Method<&Waker::Signal>("signal"), Method<&Waker::Close>("close")});
}

Waker::Waker(const Napi::CallbackInfo&) : fd_(Check(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {}

Napi::Value Waker::GetFd(const Napi::CallbackInfo& info) {
  if (!fd_) throw SystemCallFailure(EBADF, "poll", "(the waker was closed)");
  return Napi::Number::New(info.Env(), fd_.get());
}

Napi::Value Waker::Signal(const Napi::CallbackInfo& info) {
  if (!fd_) throw SystemCallFailure(EBADF, "write", "(the waker was closed)");
  const uint64_t one = 1;
  // EAGAIN: the count is at its maximum, so the waker has been signalled and nobody has waited since. That is
  // all we want.
  if (write(fd_.get(), &one, sizeof one) < 0 && errno != EAGAIN) throw SystemCallFailure(errno, "write");
  return info.Env().Undefined();
}

Napi::Value Waker::Close(const Napi::CallbackInfo& info) {
  fd_.Reset();
  return info.Env().Undefined();
}

void ResetWaker(int fd) {
  uint64_t count;
  // EAGAIN: another thread waits on the same waker and was faster.
  if (read(fd, &count, sizeof count) < 0 && errno != EAGAIN) throw SystemCallFailure(errno, "read", "waker");
}

}  // namespace tapwall
