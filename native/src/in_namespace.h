#ifndef TAPWALL_IN_NAMESPACE_H_
#define TAPWALL_IN_NAMESPACE_H_

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <future>
#include <system_error>
#include <thread>
#include <type_traits>
#include <utility>

#include "failure.h"

namespace tapwall {

/** In place of a namespace's descriptor: the namespace the calling thread is in. */
inline constexpr int kCallersNamespace = -1;

/**
 * Keeps every signal from the threads started during its life: signals are for Node's own threads to handle.
 */
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

/**
 * Runs `function` in a thread of its own, waits for it, and returns what it returned or throws what it threw.
 */
template <typename Function>
std::invoke_result_t<Function> InFreshThread(Function function) {
  std::packaged_task<std::invoke_result_t<Function>()> task(std::move(function));
  auto result = task.get_future();
  std::thread thread;
  try {
    const SignalsBlocked blocked;
    thread = std::thread(std::move(task));
  } catch (const std::system_error& error) {
    throw SystemCallFailure(error.code().value(), "pthread_create");
  }
  thread.join();
  return result.get();
}

/**
 * Runs `function` inside a network namespace. setns(2) changes the calling thread only, and a thread that
 * went somewhere has no sure way back (its old namespace's path may be gone or forbidden by then), so a fresh
 * thread goes, and ends there: a Node thread never changes namespace. A netlink socket belongs to the
 * namespace of the thread that opened it, whichever thread uses it later.
 *
 * @param namespace_fd A descriptor of a network namespace, or kCallersNamespace.
 */
template <typename Function>
std::invoke_result_t<Function> InNamespace(int namespace_fd, Function function) {
  if (namespace_fd == kCallersNamespace) return function();
  return InFreshThread([namespace_fd, &function] {
    // CLONE_NEWNET makes the kernel refuse, with EINVAL, a descriptor of any other kind.
    Check(setns(namespace_fd, CLONE_NEWNET), "setns");
    return function();
  });
}

}  // namespace tapwall

#endif  // TAPWALL_IN_NAMESPACE_H_
