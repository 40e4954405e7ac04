#ifndef TAPWALL_NAMESPACE_H_
#define TAPWALL_NAMESPACE_H_

#include <napi.h>

#include "unique_fd.h"
#include "wrapped.h"

namespace tapwall {

/** NativeNamespace: a network namespace (network_namespaces(7)), kept alive by an open descriptor. */
class Namespace : public Wrapped<Namespace> {
 public:
  static constexpr const char* kName = "Namespace";
  static constexpr napi_type_tag kTypeTag = {0x5d5ac3c1f7c94e0e, 0xa1b6f0e4d1f3a7c2};

  static Napi::Function Define(Napi::Env env);

  explicit Namespace(const Napi::CallbackInfo& info);

 private:
  static Napi::Value Create(const Napi::CallbackInfo& info);
  static Napi::Value Open(const Napi::CallbackInfo& info);
  static Napi::Value New(Napi::Env env, UniqueFd fd);

  Napi::Value GetFd(const Napi::CallbackInfo& info);
  Napi::Value GetInode(const Napi::CallbackInfo& info);
  Napi::Value Close(const Napi::CallbackInfo& info);

  UniqueFd fd_;
  uint64_t inode_ = 0;
};

}  // namespace tapwall

#endif  // TAPWALL_NAMESPACE_H_
