#include "versions.h"

#include <sched.h>

#include <string>

#include "failure.h"
#include "in_namespace.h"
#include "nft_context.h"

namespace tapwall {
namespace {

std::string LibnftablesVersion() {
  const std::string key = "\"version\": \"";
  try {
    // In an empty namespace, so that there is nothing to list but the library's own {"metainfo": {"version":
    // …}} and no foreign table that an old library could choke on.
    const std::string json = InFreshThread([] {
      Check(unshare(CLONE_NEWNET), "unshare", "CLONE_NEWNET");
      NftContext context;
      context.set_output_flags(NFT_CTX_OUTPUT_JSON);
      context.Run("list tables");
      return context.output();
    });
    const size_t start = json.find(key);
    if (start != std::string::npos) {
      const size_t from = start + key.size();
      return json.substr(from, json.find('"', from) - from);
    }
  } catch (const SystemCallFailure&) {
    // No privilege to make a namespace.
  }
  return TAPWALL_LIBNFTABLES_VERSION " (at build time)";
}

}  // namespace

Napi::Value Versions(const Napi::CallbackInfo& info) {
  const Napi::Object versions = Napi::Object::New(info.Env());
  versions.Set("libmnl", TAPWALL_LIBMNL_VERSION " (at build time)");
  versions.Set("libnftables", LibnftablesVersion());
  return versions;
}

}  // namespace tapwall
