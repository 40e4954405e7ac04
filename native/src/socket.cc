#include "socket.h"

#include <linux/filter.h>

#include <cstring>
#include <limits>
#include <string>

#include "arguments.h"
#include "deadline.h"

namespace tapwall {
namespace {

constexpr int kMaximumInt = std::numeric_limits<int>::max();

std::vector<sock_filter> ReadFilter(const Options& options, const char* key) {
  // The kernel checks the program; the length is checked here because sock_fprog counts in 16 bits
  // (linux/filter.h).
  const auto bytes = options.BytesOrNull(key, BPF_MAXINSNS * sizeof(sock_filter));
  if (!bytes) return {};
  if (bytes->empty() || bytes->size() % sizeof(sock_filter) != 0) {
    throw ArgumentFailure(options.NameOf(key) + " must be one or more instructions of 8 bytes, or null");
  }
  std::vector<sock_filter> filter(bytes->size() / sizeof(sock_filter));
  memcpy(filter.data(), bytes->data(), bytes->size());
  return filter;
}

NetlinkSocketOptions ReadOptions(Napi::Value value) {
  const Options options(value, "options");
  NetlinkSocketOptions read;
  read.protocol = static_cast<int>(options.Integer("protocol", 0, kMaximumInt));
  read.namespace_fd = static_cast<int>(options.Integer("namespace", -1, kMaximumInt));
  read.receive_buffer = static_cast<int>(options.Integer("receiveBuffer", 0, kMaximumInt));
  read.groups = options.UnsignedIntegers("groups");
  read.filter = ReadFilter(options, "filter");
  read.strict = options.Boolean("strict");
  return read;
}

Napi::Value ToUint8Array(Napi::Env env, Bytes bytes) {
  napi_value buffer;
  napi_value array;
  void* data;
  // Node refuses in a worker that is being terminated, which has no use for an exception either.
  if (napi_create_arraybuffer(env, bytes.size, &data, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint8_array, bytes.size, buffer, 0, &array) != napi_ok) {
    throw PendingException();
  }
  if (bytes.size > 0) memcpy(data, bytes.data, bytes.size);
  return {env, array};
}

}  // namespace

Napi::Function Socket::Define(Napi::Env env) {
  return DefineClass(env, {Getter<&Socket::GetPortId>("portId"), Getter<&Socket::GetFd>("fd"),
                           Method<&Socket::Transact>("transact"), Method<&Socket::Confirm>("confirm"),
                           Method<&Socket::Dump>("dump"), Method<&Socket::Receive>("receive"),
                           Method<&Socket::Listen>("listen"), Method<&Socket::LinkName>("linkName"),
                           Method<&Socket::Close>("close")});
}

Socket::Socket(const Napi::CallbackInfo& info)
    : socket_(ReadOptions(info[0])), port_id_(socket_->port_id()) {}

Napi::Value Socket::GetPortId(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), port_id_);
}

Napi::Value Socket::GetFd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), FdFor("poll"));
}

Napi::Value Socket::Transact(const Napi::CallbackInfo& info) {
  const Bytes request = ReadBytes(info[0], "request");
  return ToUint8Array(info.Env(), Open("sendto").Transact(request));
}

Napi::Value Socket::Confirm(const Napi::CallbackInfo& info) {
  const Bytes request = ReadBytes(info[0], "request");
  const Bytes answer = Open("sendto").Confirm(request);
  if (answer.data == nullptr) return info.Env().Undefined();
  return ToUint8Array(info.Env(), answer);
}

Napi::Value Socket::Dump(const Napi::CallbackInfo& info) {
  const int timeout = static_cast<int>(ReadInteger(info[1], "timeoutMs", 0, kMaximumTimeout));
  const Bytes request = ReadBytes(info[0], "request");
  if (request.size < sizeof(nlmsghdr))
    throw ArgumentFailure("request must have at least a message header of 16 bytes");
  return ToUint8Array(info.Env(), Open("sendto").Dump(request, timeout));
}

Napi::Value Socket::Receive(const Napi::CallbackInfo& info) {
  const Bytes datagram = Open("recvmsg").ReceiveOne();
  if (datagram.data == nullptr) return info.Env().Undefined();
  return ToUint8Array(info.Env(), datagram);
}

Napi::Value Socket::Listen(const Napi::CallbackInfo& info) {
  const bool on = ReadBoolean(info[0], "on");
  Open("setsockopt").Listen(on);
  return info.Env().Undefined();
}

Napi::Value Socket::LinkName(const Napi::CallbackInfo& info) {
  const int index = static_cast<int>(ReadInteger(info[0], "index", 0, kMaximumInt));
  const std::optional<std::string> name = Open("ioctl").LinkName(index);
  if (!name) return info.Env().Undefined();
  return Napi::String::New(info.Env(), *name);
}

Napi::Value Socket::Close(const Napi::CallbackInfo& info) {
  socket_.reset();
  return info.Env().Undefined();
}

NetlinkSocket& Socket::Open(const char* syscall) {
  if (!socket_) throw SystemCallFailure(EBADF, syscall, "(the socket was closed)");
  return *socket_;
}

}  // namespace tapwall
