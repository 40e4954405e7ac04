#ifndef TAPWALL_NFTABLES_H_
#define TAPWALL_NFTABLES_H_

#include <napi.h>

namespace tapwall {

/**
 * NativeAddon.runNftables(options). Calls from different threads take turns, and a call lasts as long as
 * libnftables does: read NftContext (nft_context.h) before using it in a process that must live.
 */
Napi::Value RunNftables(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_NFTABLES_H_
