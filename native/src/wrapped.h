#ifndef TAPWALL_WRAPPED_H_
#define TAPWALL_WRAPPED_H_

#include <napi.h>

#include <string>

#include "failure.h"
#include "guard.h"

namespace tapwall {

/**
 * The base of the classes JavaScript sees. T has `static constexpr napi_type_tag kTypeTag` and `static constexpr const char* kName`.
 *
 * `this` is whatever the caller makes it (`Object.getOwnPropertyDescriptor(Waker.prototype, 'fd').get.call(socket)`), and napi_unwrap
 * hands out the pointer of any wrapped object, whatever its class. So every member is defined through the functions here, which
 * compare the type tag (napi_check_object_type_tag) before they believe the pointer.
 */
template <typename T>
class Wrapped : public Napi::ObjectWrap<T> {
 public:
  /** The C++ object behind a JavaScript value. */
  static T& From(Napi::Value value, const char* name) {
    if (value.IsObject()) {
      const auto object = value.As<Napi::Object>();
      if (object.CheckTypeTag(&T::kTypeTag)) return *T::Unwrap(object);
    }
    throw ArgumentFailure(std::string(name) + " must be a " + T::kName);
  }

 protected:
  using Descriptor = Napi::ClassPropertyDescriptor<T>;

  explicit Wrapped(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {}

  /** Called at the end of a constructor that succeeded: from then on `From` accepts the object. */
  void Tag() const { this->Value().TypeTag(&T::kTypeTag); }

  template <Napi::Value (T::*method)(const Napi::CallbackInfo&)>
  static Descriptor Method(const char* name) {
    return {{name, nullptr, &CallMember<method>, nullptr, nullptr, nullptr, napi_default_method, nullptr}};
  }

  template <Napi::Value (T::*getter)(const Napi::CallbackInfo&)>
  static Descriptor Getter(const char* name) {
    return {{name, nullptr, nullptr, &CallMember<getter>, nullptr, nullptr, napi_configurable, nullptr}};
  }

  template <Napi::Value (*function)(const Napi::CallbackInfo&)>
  static Descriptor StaticMethod(const char* name) {
    constexpr auto attributes = static_cast<napi_property_attributes>(napi_static | napi_default_method);
    return {{name, nullptr, &CallFunction<function>, nullptr, nullptr, nullptr, attributes, nullptr}};
  }

 private:
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
