#include "poller.h"

#include <sys/epoll.h>

#include <array>
#include <limits>

#include "arguments.h"
#include "deadline.h"
#include "waker.h"

namespace tapwall {
namespace {

constexpr int kMaximumInt = std::numeric_limits<int>::max();

/** In epoll's data for the waker: no token is negative. */
constexpr int64_t kWaker = -1;

/** As many are told of at once; the kernel begins with the others at the next call (ep_send_events() of fs/eventpoll.c). */
constexpr int kMostReady = 64;

void Control(int poller, int operation, int fd, epoll_event* event) {
  Check(epoll_ctl(poller, operation, fd, event), "epoll_ctl");
}

}  // namespace

Napi::Function Poller::Define(Napi::Env env) {
  return DefineClass(env, {Method<&Poller::Add>("add"), Method<&Poller::Remove>("remove"),
                           Method<&Poller::Wait>("wait"), Method<&Poller::Close>("close")});
}

Poller::Poller(const Napi::CallbackInfo& info)
    : waker_(static_cast<int>(ReadInteger(info[0], "waker", -1, kMaximumInt))),
      fd_(Check(epoll_create1(EPOLL_CLOEXEC), "epoll_create1")) {
  if (waker_ < 0) return;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<uint64_t>(kWaker);
  Control(fd_.get(), EPOLL_CTL_ADD, waker_, &event);
}

Napi::Value Poller::Add(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(ReadInteger(info[0], "fd", 0, kMaximumInt));
  const auto token = static_cast<uint64_t>(ReadInteger(info[1], "token", 0, kMaximumInt));
  // A file of /proc that tells of changes with EPOLLPRI can be read at any time (mounts_poll() of fs/proc_namespace.c).
  const bool exceptional = ReadBoolean(info[2], "exceptional");
  epoll_event event{};
  event.events = exceptional ? EPOLLPRI : EPOLLIN;
  event.data.u64 = token;
  Control(Open("epoll_ctl"), EPOLL_CTL_ADD, fd, &event);
  return info.Env().Undefined();
}

Napi::Value Poller::Remove(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(ReadInteger(info[0], "fd", 0, kMaximumInt));
  Control(Open("epoll_ctl"), EPOLL_CTL_DEL, fd, nullptr);
  return info.Env().Undefined();
}

Napi::Value Poller::Wait(const Napi::CallbackInfo& info) {
  const int timeout = static_cast<int>(ReadInteger(info[0], "timeoutMs", 0, kMaximumTimeout));
  std::array<epoll_event, kMostReady> events;
  const int count = Deadline(timeout).Epoll(Open("epoll_wait"), events.data(), kMostReady);
  const Napi::Array ready = Napi::Array::New(info.Env());
  bool woken = false;
  uint32_t length = 0;
  for (int i = 0; i < count; ++i) {
    const auto token = static_cast<int64_t>(events[static_cast<size_t>(i)].data.u64);
    if (token == kWaker) woken = true;
    ready.Set(length++, Napi::Number::New(info.Env(), static_cast<double>(token)));
  }
  // Last, so that no failure can lose a signal.
  if (woken) ResetWaker(waker_);
  return ready;
}

Napi::Value Poller::Close(const Napi::CallbackInfo& info) {
  fd_.Reset();
  return info.Env().Undefined();
}

int Poller::Open(const char* syscall) const {
  if (!fd_) throw SystemCallFailure(EBADF, syscall, "(the poller was closed)");
  return fd_.get();
}

}  // namespace tapwall
