#ifndef TAPWALL_ADDON_H_
#define TAPWALL_ADDON_H_

#include <napi.h>

#include "unique_fd.h"

namespace tapwall {

/**
 * What the addon keeps for one environment: the main thread and each worker have one of their own
 * (napi_set_instance_data), and Node destroys it with the environment.
 */
class Addon : public Napi::Addon<Addon> {
 public:
  Addon(Napi::Env env, Napi::Object exports);

  static Addon& Of(Napi::Env env) { return *env.GetInstanceData<Addon>(); }

  /** A JavaScript Namespace that owns `fd`. */
  Napi::Value NewNamespace(UniqueFd fd);
  /**
   * For Namespace's constructor: the descriptor `NewNamespace` is handing over; none if JavaScript called it.
   */
  UniqueFd TakeNamespace() { return std::move(handed_over_); }

 private:
  Napi::FunctionReference namespace_class_;
  UniqueFd handed_over_;
};

}  // namespace tapwall

#endif  // TAPWALL_ADDON_H_
