#include "datagram.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string>

#include "arguments.h"
#include "failure.h"
#include "unique_fd.h"

namespace tapwall {
namespace {

/** A Unix address and its length, which for an abstract one is no matter of a NUL at the end. */
struct UnixAddress {
  sockaddr_un address = {};
  socklen_t length = 0;

  explicit UnixAddress(const std::string& path) {
    if (path.empty() || path.size() >= sizeof address.sun_path) {
      throw ArgumentFailure("path must have 1 to " + std::to_string(sizeof address.sun_path - 1) + " bytes");
    }
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, path.data(), path.size());
    // The notation of unix(7) and sd_notify(3) for the abstract name space.
    const bool is_abstract = path.front() == '@';
    if (is_abstract) address.sun_path[0] = '\0';
    length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (is_abstract ? 0 : 1));
  }
};

}  // namespace

Napi::Value SendDatagram(const Napi::CallbackInfo& info) {
  const std::string path = ReadString(info[0], "path");
  const std::string text = ReadString(info[1], "text");
  const UnixAddress to(path);
  const UniqueFd socket(Check(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket"));
  // Not waited for: a receiver whose queue is full must not hold up whoever tells it something.
  Check(sendto(socket.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT,
               reinterpret_cast<const sockaddr*>(&to.address), to.length),
        "sendto", path.c_str());
  return info.Env().Undefined();
}

}  // namespace tapwall
