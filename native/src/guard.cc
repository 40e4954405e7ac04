#include "guard.h"

#include <new>
#include <string>

#include "errno_name.h"

namespace tapwall {
namespace {

/**
 * The same three properties and the same wording as the errors of Node's own system calls, but for the sign
 * of `errno`.
 */
void ThrowErrno(Napi::Env env, int number, const char* syscall, const std::string& detail) {
  const std::string name = ErrnoName(number);
  std::string message = name + ": " + std::generic_category().message(number) + ", " + syscall;
  if (!detail.empty()) message += " " + detail;
  const Napi::Error error = Napi::Error::New(env, message);
  const Napi::Object properties = error.Value();
  properties.Set("code", name);
  properties.Set("errno", number);
  properties.Set("syscall", syscall);
  error.ThrowAsJavaScriptException();
}

}  // namespace

void ThrowInJavaScript(Napi::Env env, const std::exception& failure) {
  if (dynamic_cast<const PendingException*>(&failure) != nullptr) return;
  if (const auto* refused = dynamic_cast<const SystemCallFailure*>(&failure)) {
    ThrowErrno(env, refused->number(), refused->syscall(), refused->detail());
  } else if (dynamic_cast<const ArgumentFailure*>(&failure) != nullptr) {
    const Napi::Error error = Napi::TypeError::New(env, failure.what());
    error.Value().Set("code", "ERR_INVALID_ARG_TYPE");
    error.ThrowAsJavaScriptException();
  } else if (dynamic_cast<const std::bad_alloc*>(&failure) != nullptr) {
    ThrowErrno(env, ENOMEM, "malloc", "");
  } else {
    // std::length_error of a container and the like: nothing the addon throws on purpose.
    Napi::Error::New(env, failure.what()).ThrowAsJavaScriptException();
  }
}

}  // namespace tapwall
