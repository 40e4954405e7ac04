#include "rights.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "arguments.h"
#include "failure.h"

namespace tapwall {
namespace {

/** Of a kernel that knows 64 of them; today's know 41 (linux/capability.h). */
constexpr int kMostCapabilities = 64;

void DropOthersFromBoundingSet(const std::vector<uint32_t>& kept) {
  for (int capability = 0; capability < kMostCapabilities; ++capability) {
    if (std::find(kept.begin(), kept.end(), static_cast<uint32_t>(capability)) != kept.end()) continue;
    if (prctl(PR_CAPBSET_DROP, capability) == 0) continue;
    // Past the last that this kernel knows.
    if (errno == EINVAL) return;
    throw SystemCallFailure(errno, "prctl", "PR_CAPBSET_DROP");
  }
}

/** What is inheritable would come through execve(2) whatever the bounding set says; ambient is part of it. */
void ClearInheritable() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
  Check(syscall(SYS_capget, &header, data), "capget");
  for (auto& half : data) half.inheritable = 0;
  Check(syscall(SYS_capset, &header, data), "capset");
}

/** Node lets nothing be inherited (uv_disable_stdio_inheritance()), standard input and output neither. */
void InheritStandardFiles() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) fcntl(fd, F_SETFD, 0);
}

}  // namespace

Napi::Value RestartWithRights(const Napi::CallbackInfo& info) {
  const Options options(info[0], "options");
  const std::vector<uint32_t> kept = options.UnsignedIntegers("capabilities");
  std::vector<std::string> words = options.Strings("command");
  if (words.empty()) throw ArgumentFailure("options.command must name a program");
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // A program that is not there is found before anything is given up.
  Check(access(words[0].c_str(), X_OK), "access", words[0].c_str());
  DropOthersFromBoundingSet(kept);
  ClearInheritable();
  Check(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl", "PR_SET_NO_NEW_PRIVS");
  InheritStandardFiles();
  Check(execv(arguments[0], arguments.data()), "execve", words[0].c_str());
  return info.Env().Undefined();
}

}  // namespace tapwall
