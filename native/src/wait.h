#ifndef TAPWALL_WAIT_H_
#define TAPWALL_WAIT_H_

#include <napi.h>

namespace tapwall {

/**
 * NativeAddon.wait(sockets, waker, timeoutMs): poll(2) over at most 31 sockets and one eventfd. The mask is
 * an unsigned number; a waker of -1 is none.
 *
 * Nothing but data, the waker or the time-out ends the call: V8 cannot interrupt a thread that is inside
 * native code, so `worker.terminate()` and `process.exit()` wait for it. A caller keeps `timeoutMs` at 1000
 * or less and calls again.
 */
Napi::Value Wait(const Napi::CallbackInfo& info);

}  // namespace tapwall

#endif  // TAPWALL_WAIT_H_
