#ifndef TAPWALL_VERSIONS_H_
#define TAPWALL_VERSIONS_H_

#include <napi.h>

namespace tapwall {

/**
 * NativeAddon.versions(). libmnl cannot be asked, so its version is that of the build, and says so:
 * `1.0.4 (at build time)`. libnftables puts its own into its JSON; where that cannot be had (no privilege, a
 * library without JSON), the build's is given in the same form.
 */
Napi::Value Versions(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_VERSIONS_H_
