#include "stand_in.h"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "../src/unique_fd.h"

namespace tapwall::hook {
namespace {

/** A file without a name that holds a text, to be read from its beginning. */
UniqueFd FileWith(const std::string& text) {
  UniqueFd file(memfd_create("domain", MFD_CLOEXEC));
  for (size_t at = 0; file && at < text.size();) {
    const ssize_t size = write(file.get(), text.data() + at, text.size() - at);
    if (size > 0) {
      at += static_cast<size_t>(size);
    } else if (errno != EINTR) {
      file.Reset();
    }
  }
  if (file && lseek(file.get(), 0, SEEK_SET) != 0) file.Reset();
  return file;
}

[[noreturn]] void Become(const HookOptions& options, int input, int left_ms) {
  // A group of its own, so that what it has started ends with it.
  setpgid(0, 0);
  dup2(input, STDIN_FILENO);
  // Anything on standard output libvirt may take for a changed domain.
  dup2(STDERR_FILENO, STDOUT_FILENO);
  const std::string limit = std::to_string(left_ms);
  const char* arguments[] = {options.node.c_str(), options.main.c_str(),   "libvirt", "hook",
                             "--config",           options.config.c_str(), "--timeout", limit.c_str(),
                             options.guest.c_str(), options.operation.c_str(), nullptr};
  execv(options.node.c_str(), const_cast<char**>(arguments));
  dprintf(STDERR_FILENO, "tapwall: cannot run %s: %s\n", options.node.c_str(), strerror(errno));
  _exit(127);
}

}  // namespace

Verdict RunStandIn(const HookOptions& options, const std::string& xml, const Deadline& deadline) {
  // What an agent knows already at a reconnect, and nobody else wants to know.
  if (options.operation == "reconnect") return {true, ""};
  const UniqueFd input = FileWith(xml);
  if (!input) return {false, "no memory for the domain's XML"};
  const pid_t child = fork();
  if (child < 0) return {false, std::string("cannot fork: ") + strerror(errno)};
  if (child == 0) Become(options, input.get(), deadline.Left());
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, child, 0)));
  pollfd waiting = {handle.get(), POLLIN, 0};
  while (poll(&waiting, 1, deadline.Left()) < 0 && errno == EINTR) continue;
  int status = 0;
  if (waitpid(child, &status, WNOHANG) == 0) {
    kill(-child, SIGKILL);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return {false, "no agent runs, and doing its work took longer than the hook may"};
  }
  return {WIFEXITED(status) && WEXITSTATUS(status) == 0, ""};
}

}  // namespace tapwall::hook
