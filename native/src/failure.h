#ifndef TAPWALL_FAILURE_H_
#define TAPWALL_FAILURE_H_

#include <cerrno>
#include <stdexcept>
#include <string>
#include <system_error>

/**
 * Why a call into the addon fails. All of these are C++ exceptions inside the addon and end in `Guard`
 * (guard.h), which makes the JavaScript error; node-addon-api itself is built without exceptions, so none is
 * ever thrown through a frame of Node's.
 */
namespace tapwall {

/** A system call that the kernel refused: becomes an Error with `code`, `errno` and `syscall`. */
class SystemCallFailure : public std::system_error {
 public:
  /** @param detail What the call was about ('/a/path', SO_AN_OPTION); may be empty. */
  SystemCallFailure(int number, const char* syscall, const char* detail = "")
      : std::system_error(number, std::generic_category()), syscall_(syscall), detail_(detail) {}

  int number() const { return code().value(); }
  const char* syscall() const { return syscall_; }
  const std::string& detail() const { return detail_; }

 private:
  const char* syscall_;
  std::string detail_;
};

/** What `result` is if it is not negative; throws what errno says otherwise. */
template <typename Integer>
Integer Check(Integer result, const char* syscall, const char* detail = "") {
  if (result < 0) throw SystemCallFailure(errno, syscall, detail);
  return result;
}

/** An argument of the wrong type or length: becomes a TypeError. */
class ArgumentFailure : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/**
 * Nothing to throw: JavaScript that the addon called (a getter of an options object) threw, and its exception
 * is pending; or the worker is being terminated, when Node-API refuses what could run JavaScript.
 */
class PendingException : public std::exception {};

}  // namespace tapwall

#endif  // TAPWALL_FAILURE_H_
