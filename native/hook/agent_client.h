#ifndef TAPWALL_HOOK_AGENT_CLIENT_H_
#define TAPWALL_HOOK_AGENT_CLIENT_H_

#include <string>

#include "clock.h"
#include "options.h"

namespace tapwall::hook {

struct Answer {
  /** False when nobody listens: there is no agent. */
  bool reached;
  Verdict verdict;
};

/** Tells the agent over its control socket (docs/control.md) what libvirt told the hook, and what the agent makes of it. */
Answer AskAgent(const HookOptions& options, const std::string& xml, const Deadline& deadline);

}  // namespace tapwall::hook

#endif  // TAPWALL_HOOK_AGENT_CLIENT_H_
