#ifndef TAPWALL_PEER_H_
#define TAPWALL_PEER_H_

#include <napi.h>

namespace tapwall {

/**
 * peerCredentials(fd): who is at the other end of a connected Unix socket, as the kernel noted when it connected
 * (SO_PEERCRED and SO_PEERGROUPS of unix(7)).
 */
Napi::Value PeerCredentials(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_PEER_H_
