#include "addon.h"

#include <utility>

#include "guard.h"
#include "namespace.h"
#include "nftables.h"
#include "socket.h"
#include "versions.h"
#include "wait.h"
#include "waker.h"

namespace tapwall {

Addon::Addon(Napi::Env env, Napi::Object exports) {
  const Napi::Function namespace_class = Namespace::Define(env);
  namespace_class_ = Napi::Persistent(namespace_class);
  DefineAddon(exports, {
                           InstanceValue("Socket", Socket::Define(env), napi_enumerable),
                           InstanceValue("Namespace", namespace_class, napi_enumerable),
                           InstanceValue("Waker", Waker::Define(env), napi_enumerable),
                           InstanceValue("wait", Napi::Function::New<Guarded<&Wait>>(env, "wait"), napi_enumerable),
                           InstanceValue("runNftables", Napi::Function::New<Guarded<&RunNftables>>(env, "runNftables"),
                                         napi_enumerable),
                           InstanceValue("versions", Napi::Function::New<Guarded<&Versions>>(env, "versions"), napi_enumerable),
                       });
}

Napi::Value Addon::NewNamespace(UniqueFd fd) {
  handed_over_ = std::move(fd);
  const Napi::Value created = namespace_class_.New({});
  handed_over_.Reset();  // Node may have failed before it came to the constructor.
  if (created.IsEmpty()) throw PendingException();
  return created;
}

}  // namespace tapwall

using tapwall::Addon;
NODE_API_ADDON(Addon)
