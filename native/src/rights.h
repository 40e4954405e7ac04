#ifndef TAPWALL_RIGHTS_H_
#define TAPWALL_RIGHTS_H_

#include <napi.h>

namespace tapwall {

/** NativeAddon.restartWithRights(). */
Napi::Value RestartWithRights(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_RIGHTS_H_
