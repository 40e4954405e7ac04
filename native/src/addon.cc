#include "addon.h"

#include <utility>

#include "datagram.h"
#include "guard.h"
#include "namespace.h"
#include "nftables.h"
#include "parent.h"
#include "peer.h"
#include "poller.h"
#include "rights.h"
#include "socket.h"
#include "versions.h"
#include "wait.h"
#include "waker.h"

namespace tapwall {

Addon::Addon(Napi::Env env, Napi::Object exports) {
  Guard(env, [&] {
    const Napi::Function namespace_class = Namespace::Define(env);
    namespace_class_ = Napi::Persistent(namespace_class);
    exports.Set("Socket", Socket::Define(env));
    exports.Set("Namespace", namespace_class);
    exports.Set("Waker", Waker::Define(env));
    exports.Set("Poller", Poller::Define(env));
    exports.Set("wait", Napi::Function::New<Guarded<&Wait>>(env, "wait"));
    exports.Set("runNftables", Napi::Function::New<Guarded<&RunNftables>>(env, "runNftables"));
    exports.Set("endWithParent", Napi::Function::New<Guarded<&EndWithParent>>(env, "endWithParent"));
    exports.Set("sendDatagram", Napi::Function::New<Guarded<&SendDatagram>>(env, "sendDatagram"));
    exports.Set("peerCredentials", Napi::Function::New<Guarded<&PeerCredentials>>(env, "peerCredentials"));
    exports.Set("restartWithRights", Napi::Function::New<Guarded<&RestartWithRights>>(env, "restartWithRights"));
    exports.Set("versions", Napi::Function::New<Guarded<&Versions>>(env, "versions"));
    return exports;
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
