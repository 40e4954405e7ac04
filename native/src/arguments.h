#ifndef TAPWALL_ARGUMENTS_H_
#define TAPWALL_ARGUMENTS_H_

#include <napi.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "bytes.h"

/**
 * Reads what JavaScript passed: type and length only, meaning is checked in TypeScript before the call.
 * `name` is how the message of the TypeError calls the argument.
 */
namespace tapwall {

/** More elements than this in a list are refused, before memory is spent on them. */
inline constexpr uint32_t kMaximumListLength = 65536;

int64_t ReadInteger(Napi::Value value, const std::string& name, int64_t minimum, int64_t maximum);
bool ReadBoolean(Napi::Value value, const std::string& name);

/**
 * UTF-8. A NUL inside is refused: the C interfaces behind would stop there, and half a ruleset is another
 * ruleset.
 */
std::string ReadString(Napi::Value value, const std::string& name);

/**
 * The bytes of a Uint8Array (a Buffer is one), in place. They are valid until JavaScript runs again, and
 * reading a property of an object may run JavaScript: take views last, or copy.
 */
Bytes ReadBytes(Napi::Value value, const std::string& name);

/** An array's elements, still to be read. */
std::vector<Napi::Value> ReadList(Napi::Value value, const std::string& name, uint32_t maximum_length);

/** The properties of an options object. */
class Options {
 public:
  Options(Napi::Value value, std::string name);

  int64_t Integer(const char* key, int64_t minimum, int64_t maximum) const;
  bool Boolean(const char* key) const;
  std::vector<std::string> Strings(const char* key) const;
  std::vector<uint32_t> UnsignedIntegers(const char* key) const;
  std::optional<std::string> StringOrNull(const char* key) const;
  /** A copy, for the reason given at ReadBytes. */
  std::optional<std::vector<uint8_t>> BytesOrNull(const char* key, size_t maximum_length) const;

  std::string NameOf(const char* key) const { return name_ + "." + key; }

 private:
  Napi::Value Get(const char* key) const;

  Napi::Object object_;
  std::string name_;
};

}  // namespace tapwall

#endif  // TAPWALL_ARGUMENTS_H_
