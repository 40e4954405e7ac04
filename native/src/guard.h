#ifndef TAPWALL_GUARD_H_
#define TAPWALL_GUARD_H_

#include <napi.h>

#include <exception>

#include "failure.h"

namespace tapwall {

/** Makes a C++ exception the pending JavaScript exception of `env`. */
void ThrowInJavaScript(Napi::Env env, const std::exception& failure);

/**
 * Runs the body of a function that JavaScript called. Every entry point goes through here, because a C++
 * exception that reached Node's own frames would end the process.
 */
template <typename Body>
Napi::Value Guard(Napi::Env env, Body body) noexcept {
  try {
    return body();
  } catch (const std::exception& failure) {
    ThrowInJavaScript(env, failure);
  }
  return {};
}

/** A free function as Node-API wants it, guarded: `Napi::Function::New<Guarded<&Wait>>(env, "wait")`. */
template <Napi::Value (*function)(const Napi::CallbackInfo&)>
Napi::Value Guarded(const Napi::CallbackInfo& info) {
  return Guard(info.Env(), [&info] { return function(info); });
}

}  // namespace tapwall

#endif  // TAPWALL_GUARD_H_
