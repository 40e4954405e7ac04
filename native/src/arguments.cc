#include "arguments.h"

#include <cmath>
#include <limits>

#include "failure.h"

namespace tapwall {
namespace {

/** A property or an element: an accessor or a proxy may have thrown, or the worker is being terminated. */
template <typename Key>
Napi::Value GetFrom(Napi::Object object, Key key) {
  const Napi::Value value = object.Get(key);
  if (value.IsEmpty()) throw PendingException();
  return value;
}

}  // namespace

int64_t ReadInteger(Napi::Value value, const std::string& name, int64_t minimum, int64_t maximum) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    // Written so that NaN, which compares false with everything, is refused.
    if (number >= static_cast<double>(minimum) && number <= static_cast<double>(maximum) &&
        std::trunc(number) == number) {
      return static_cast<int64_t>(number);
    }
  }
  throw ArgumentFailure(name + " must be an integer from " + std::to_string(minimum) + " to " +
                        std::to_string(maximum));
}

bool ReadBoolean(Napi::Value value, const std::string& name) {
  if (!value.IsBoolean()) throw ArgumentFailure(name + " must be a boolean");
  return value.As<Napi::Boolean>().Value();
}

std::string ReadString(Napi::Value value, const std::string& name) {
  if (!value.IsString()) throw ArgumentFailure(name + " must be a string");
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) throw ArgumentFailure(name + " must not contain a NUL character");
  return text;
}

Bytes ReadBytes(Napi::Value value, const std::string& name) {
  // Not through Napi::Uint8Array, which asks Node for the same facts three times: this is on the path of
  // every attach.
  napi_typedarray_type type;
  size_t length;
  void* data;
  const napi_status status =
      napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr);
  if (status != napi_ok || type != napi_uint8_array) throw ArgumentFailure(name + " must be a Uint8Array");
  return {static_cast<const uint8_t*>(data), length};
}

std::vector<Napi::Value> ReadList(Napi::Value value, const std::string& name, uint32_t maximum_length) {
  if (!value.IsArray()) throw ArgumentFailure(name + " must be an array");
  const auto array = value.As<Napi::Array>();
  uint32_t length;
  // Not Napi::Array::Length(), for which an array has no elements when the worker is being terminated: wait()
  // would block once more.
  if (napi_get_array_length(value.Env(), value, &length) != napi_ok) throw PendingException();
  if (length > maximum_length) {
    throw ArgumentFailure(name + " must have at most " + std::to_string(maximum_length) + " elements");
  }
  std::vector<Napi::Value> elements;
  elements.reserve(length);
  for (uint32_t i = 0; i < length; ++i) elements.push_back(GetFrom<uint32_t>(array, i));
  return elements;
}

Options::Options(Napi::Value value, std::string name) : name_(std::move(name)) {
  if (!value.IsObject()) throw ArgumentFailure(name_ + " must be an object");
  object_ = value.As<Napi::Object>();
}

Napi::Value Options::Get(const char* key) const { return GetFrom(object_, key); }

int64_t Options::Integer(const char* key, int64_t minimum, int64_t maximum) const {
  return ReadInteger(Get(key), NameOf(key), minimum, maximum);
}

bool Options::Boolean(const char* key) const { return ReadBoolean(Get(key), NameOf(key)); }

std::vector<std::string> Options::Strings(const char* key) const {
  std::vector<std::string> strings;
  for (const Napi::Value& element : ReadList(Get(key), NameOf(key), kMaximumListLength)) {
    strings.push_back(ReadString(element, NameOf(key) + "[" + std::to_string(strings.size()) + "]"));
  }
  return strings;
}

std::vector<uint32_t> Options::UnsignedIntegers(const char* key) const {
  std::vector<uint32_t> integers;
  for (const Napi::Value& element : ReadList(Get(key), NameOf(key), kMaximumListLength)) {
    const std::string name = NameOf(key) + "[" + std::to_string(integers.size()) + "]";
    integers.push_back(
        static_cast<uint32_t>(ReadInteger(element, name, 0, std::numeric_limits<uint32_t>::max())));
  }
  return integers;
}

std::optional<std::string> Options::StringOrNull(const char* key) const {
  const Napi::Value value = Get(key);
  if (value.IsNull()) return std::nullopt;
  if (!value.IsString()) throw ArgumentFailure(NameOf(key) + " must be a string or null");
  return ReadString(value, NameOf(key));
}

std::optional<std::vector<uint8_t>> Options::BytesOrNull(const char* key, size_t maximum_length) const {
  const Napi::Value value = Get(key);
  if (value.IsNull()) return std::nullopt;
  const Bytes bytes = ReadBytes(value, NameOf(key));
  if (bytes.size > maximum_length) {
    throw ArgumentFailure(NameOf(key) + " must have at most " + std::to_string(maximum_length) + " bytes");
  }
  return std::vector<uint8_t>(bytes.data, bytes.data + bytes.size);
}

}  // namespace tapwall
