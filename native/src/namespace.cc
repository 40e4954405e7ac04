#include "namespace.h"

#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <string>

#include "addon.h"
#include "arguments.h"
#include "in_namespace.h"

namespace tapwall {
namespace {

UniqueFd CreateNamespace() {
  return InFreshThread([] {
    Check(unshare(CLONE_NEWNET), "unshare", "CLONE_NEWNET");
    // thread-self, because the process's own entry is the main thread's, which stays where it is (proc(5)).
    const char* path = "/proc/thread-self/ns/net";
    return UniqueFd(Check(open(path, O_RDONLY | O_CLOEXEC), "open", path));
  });
}

UniqueFd OpenNamespace(const std::string& path) {
  const std::string quoted = "'" + path + "'";
  // O_NONBLOCK: a FIFO at that path must not hold the caller until somebody writes to it (open(2)).
  UniqueFd fd(Check(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK), "open", quoted.c_str()));
  // What `ip netns add` left of a name whose mount has gone is an ordinary empty file: better refused here,
  // by name, than at the first use (ioctl_ns(2)).
  const int type = Check(ioctl(fd.get(), NS_GET_NSTYPE), "ioctl", quoted.c_str());
  if (type != CLONE_NEWNET) throw SystemCallFailure(EINVAL, "ioctl", quoted.c_str());
  return fd;
}

}  // namespace

Napi::Function Namespace::Define(Napi::Env env) {
  return DefineClass(env, {StaticMethod<&Namespace::Create>("create"), StaticMethod<&Namespace::Open>("open"),
                           Getter<&Namespace::GetFd>("fd"), Getter<&Namespace::GetInode>("inode"),
                           Method<&Namespace::Close>("close")});
}

Namespace::Namespace(const Napi::CallbackInfo& info) : fd_(Addon::Of(info.Env()).TakeNamespace()) {
  if (!fd_) throw ArgumentFailure("A Namespace comes from Namespace.create() or Namespace.open(path)");
  struct stat status;
  Check(fstat(fd_.get(), &status), "fstat");
  inode_ = status.st_ino;
}

Napi::Value Namespace::Create(const Napi::CallbackInfo& info) { return New(info.Env(), CreateNamespace()); }

Napi::Value Namespace::Open(const Napi::CallbackInfo& info) {
  return New(info.Env(), OpenNamespace(ReadString(info[0], "path")));
}

Napi::Value Namespace::New(Napi::Env env, UniqueFd fd) { return Addon::Of(env).NewNamespace(std::move(fd)); }

Napi::Value Namespace::GetFd(const Napi::CallbackInfo& info) {
  // Not -1: that stands for the caller's own namespace, the very one a forgotten close() must never lead
  // into.
  if (!fd_) throw SystemCallFailure(EBADF, "setns", "(the namespace was closed)");
  return Napi::Number::New(info.Env(), fd_.get());
}

Napi::Value Namespace::GetInode(const Napi::CallbackInfo& info) {
  return Napi::BigInt::New(info.Env(), inode_);
}

Napi::Value Namespace::Close(const Napi::CallbackInfo& info) {
  fd_.Reset();
  return info.Env().Undefined();
}

}  // namespace tapwall
