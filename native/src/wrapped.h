#ifndef TAPWALL_WRAPPED_H_
#define TAPWALL_WRAPPED_H_

#include <napi.h>

#include <initializer_list>
#include <memory>
#include <string>

#include "failure.h"
#include "guard.h"

namespace tapwall {

/**
 * The base of the classes JavaScript sees. T has a constructor `T(const Napi::CallbackInfo&)`, a `static
 * constexpr napi_type_tag kTypeTag` and a `static constexpr const char* kName`.
 *
 * In place of Napi::ObjectWrap, for two reasons:
 * - `this` is whatever the caller makes it, the getter of a Waker called on a Socket for one, and napi_unwrap
 *   hands out the pointer of any wrapped object, whatever its class. Here every member compares the type tag
 *   (napi_check_object_type_tag) before it believes the pointer.
 * - A constructor may throw like any other of C++, and nothing is leaked if it does, or if Node refuses to
 *   tie the object to the JavaScript one because the worker is being terminated.
 */
template <typename T>
class Wrapped {
 public:
  Wrapped(const Wrapped&) = delete;
  Wrapped& operator=(const Wrapped&) = delete;

  /** The C++ object behind a JavaScript value. It lives as long as the value. */
  static T& From(Napi::Value value, const char* name) {
    const napi_env env = value.Env();
    bool tagged = false;
    void* object = nullptr;
    if (value.IsObject() && napi_check_object_type_tag(env, value, &T::kTypeTag, &tagged) == napi_ok &&
        tagged && napi_unwrap(env, value, &object) == napi_ok) {
      return *static_cast<T*>(object);
    }
    throw ArgumentFailure(std::string(name) + " must be a " + T::kName);
  }

 protected:
  Wrapped() = default;
  ~Wrapped() = default;

  static Napi::Function DefineClass(Napi::Env env, std::initializer_list<napi_property_descriptor> members) {
    napi_value constructor;
    const napi_status status = napi_define_class(env, T::kName, NAPI_AUTO_LENGTH, &Construct, nullptr,
                                                 members.size(), members.begin(), &constructor);
    if (status != napi_ok) throw PendingException();
    return {env, constructor};
  }

  template <Napi::Value (T::*method)(const Napi::CallbackInfo&)>
  static napi_property_descriptor Method(const char* name) {
    return {name, nullptr, &CallMember<method>, nullptr, nullptr, nullptr, napi_default_method, nullptr};
  }

  template <Napi::Value (T::*getter)(const Napi::CallbackInfo&)>
  static napi_property_descriptor Getter(const char* name) {
    return {name, nullptr, nullptr, &CallMember<getter>, nullptr, nullptr, napi_configurable, nullptr};
  }

  template <Napi::Value (*function)(const Napi::CallbackInfo&)>
  static napi_property_descriptor StaticMethod(const char* name) {
    constexpr auto attributes = static_cast<napi_property_attributes>(napi_static | napi_default_method);
    return {name, nullptr, &CallFunction<function>, nullptr, nullptr, nullptr, attributes, nullptr};
  }

 private:
  static napi_value Construct(napi_env env, napi_callback_info raw) {
    const Napi::CallbackInfo info(env, raw);
    return Guard(env, [&]() -> Napi::Value {
      if (!info.IsConstructCall()) throw ArgumentFailure(std::string(T::kName) + " must be called with new");
      auto object = std::make_unique<T>(info);
      if (napi_type_tag_object(env, info.This(), &T::kTypeTag) != napi_ok ||
          napi_wrap(env, info.This(), object.get(), &Finalize, nullptr, nullptr) != napi_ok) {
        throw PendingException();
      }
      object.release();
      return info.This();
    });
  }

  /** After the JavaScript object was collected, or as the environment ends. */
  static void Finalize(napi_env, void* object, void*) { delete static_cast<T*>(object); }

  template <Napi::Value (T::*member)(const Napi::CallbackInfo&)>
  static napi_value CallMember(napi_env env, napi_callback_info raw) {
    const Napi::CallbackInfo info(env, raw);
    return Guard(env, [&info] { return (From(info.This(), "this").*member)(info); });
  }

  template <Napi::Value (*function)(const Napi::CallbackInfo&)>
  static napi_value CallFunction(napi_env env, napi_callback_info raw) {
    return Guarded<function>(Napi::CallbackInfo(env, raw));
  }
};

}  // namespace tapwall

#endif  // TAPWALL_WRAPPED_H_
