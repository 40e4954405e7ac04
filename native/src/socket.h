#ifndef TAPWALL_SOCKET_H_
#define TAPWALL_SOCKET_H_

#include <napi.h>

#include <cstdint>
#include <optional>

#include "netlink_socket.h"
#include "wrapped.h"

namespace tapwall {

/**
 * NativeSocket: a NetlinkSocket that JavaScript can hold, and close. `portId` outlives `close()`; nothing
 * else does.
 */
class Socket : public Wrapped<Socket> {
 public:
  static constexpr const char* kName = "Socket";
  static constexpr napi_type_tag kTypeTag = {0xd6b0b9a17c5f4f0a, 0x93c5a2a8f6be1d37};

  static Napi::Function Define(Napi::Env env);

  explicit Socket(const Napi::CallbackInfo& info);

  /** The descriptor; throws EBADF in the name of `syscall` if the socket was closed. */
  int FdFor(const char* syscall) { return Open(syscall).fd(); }

 private:
  Napi::Value GetPortId(const Napi::CallbackInfo& info);
  Napi::Value GetFd(const Napi::CallbackInfo& info);
  Napi::Value Transact(const Napi::CallbackInfo& info);
  Napi::Value Confirm(const Napi::CallbackInfo& info);
  Napi::Value Dump(const Napi::CallbackInfo& info);
  Napi::Value Receive(const Napi::CallbackInfo& info);
  Napi::Value Listen(const Napi::CallbackInfo& info);
  Napi::Value LinkName(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  NetlinkSocket& Open(const char* syscall);

  std::optional<NetlinkSocket> socket_;
  uint32_t port_id_;
};

}  // namespace tapwall

#endif  // TAPWALL_SOCKET_H_
