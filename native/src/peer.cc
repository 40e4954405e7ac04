#include "peer.h"

#include <sys/socket.h>

#include <limits>
#include <vector>

#include "arguments.h"
#include "failure.h"

namespace tapwall {
namespace {

/** As many as setgroups(2) takes (NGROUPS_MAX of linux/limits.h). */
constexpr size_t kMostGroups = 65536;

std::vector<gid_t> GroupsOf(int fd) {
  std::vector<gid_t> groups(32);
  for (;;) {
    socklen_t size = static_cast<socklen_t>(groups.size() * sizeof(gid_t));
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups.data(), &size) == 0) {
      groups.resize(size / sizeof(gid_t));
      return groups;
    }
    // The kernel says how many there are when there is no room for them (sk_getsockopt() of net/core/sock.c).
    if (errno != ERANGE || groups.size() >= kMostGroups) {
      throw SystemCallFailure(errno, "getsockopt", "SO_PEERGROUPS");
    }
    groups.resize(kMostGroups);
  }
}

}  // namespace

Napi::Value PeerCredentials(const Napi::CallbackInfo& info) {
  const int fd = static_cast<int>(ReadInteger(info[0], "fd", 0, std::numeric_limits<int>::max()));
  ucred credentials{};
  socklen_t size = sizeof credentials;
  Check(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size), "getsockopt", "SO_PEERCRED");
  // A socket that is not connected to anybody has no process (cred_to_ucred() of net/core/sock.c is not called).
  if (credentials.pid == 0 && credentials.uid == static_cast<uid_t>(-1)) {
    throw SystemCallFailure(ENOTCONN, "getsockopt", "SO_PEERCRED");
  }
  const std::vector<gid_t> groups = GroupsOf(fd);

  const Napi::Env env = info.Env();
  const Napi::Array list = Napi::Array::New(env, groups.size());
  for (size_t i = 0; i < groups.size(); ++i) {
    list.Set(static_cast<uint32_t>(i), Napi::Number::New(env, groups[i]));
  }
  const Napi::Object peer = Napi::Object::New(env);
  peer.Set("pid", Napi::Number::New(env, credentials.pid));
  peer.Set("uid", Napi::Number::New(env, credentials.uid));
  peer.Set("gid", Napi::Number::New(env, credentials.gid));
  peer.Set("groups", list);
  return peer;
}

}  // namespace tapwall
