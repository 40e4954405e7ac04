#ifndef TAPWALL_PARENT_H_
#define TAPWALL_PARENT_H_

#include <napi.h>

namespace tapwall {

/** NativeAddon.endWithParent(). */
Napi::Value EndWithParent(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_PARENT_H_
