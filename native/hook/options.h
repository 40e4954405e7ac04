#ifndef TAPWALL_HOOK_OPTIONS_H_
#define TAPWALL_HOOK_OPTIONS_H_

#include <string>
#include <vector>

namespace tapwall::hook {

/** What becomes of a guest. */
struct Verdict {
  bool passes;
  /** For whoever started the guest; may be empty. */
  std::string message;
};

/** `tapwall-libvirt-hook SOCKET TIMEOUT-MS refuse|allow NODE MAIN CONFIG -- GUEST OPERATION SUB-OPERATION EXTRA` */
struct HookOptions {
  /** The agent's control socket. */
  std::string socket;
  int timeout_ms = 0;
  bool refuses = true;
  /** Node and tapwall's main module, for when no agent listens. */
  std::string node;
  std::string main;
  std::string config;
  std::string guest;
  std::string operation;
  std::string sub_operation;

  /**
   * At `start begin` the devices are there, and the guest isn't; at `reconnect` the agent can learn what it does not know;
   * after `release` there may be something to sweep up.
   */
  bool IsOfInterest() const { return IsStart() || operation == "reconnect" || operation == "release"; }
  bool IsStart() const { return operation == "start" && sub_operation == "begin"; }
  bool MayRefuse() const { return IsStart() && refuses; }
};

/** @returns what is wrong with the arguments; empty if nothing is. */
std::string ReadOptions(int count, char** arguments, HookOptions* options);

}  // namespace tapwall::hook

#endif  // TAPWALL_HOOK_OPTIONS_H_
