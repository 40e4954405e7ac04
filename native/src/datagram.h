#ifndef TAPWALL_DATAGRAM_H_
#define TAPWALL_DATAGRAM_H_

#include <napi.h>

namespace tapwall {

/** NativeAddon.sendDatagram(): one datagram to a Unix socket, which Node itself has none of. */
Napi::Value SendDatagram(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_DATAGRAM_H_
