/**
 * What libvirt's qemu hook runs. It passes the domain's XML to tapwall's agent and comes back with the answer: starting
 * Node for that would take longer than everything else a guest's start does. Where no agent listens, it runs
 * `tapwall libvirt hook`, which does the agent's work once.
 *
 * It exits with 1 only where libvirt may still keep the guest from starting, which is at `start`. At any other operation a
 * failure would be worse than no answer: a failing hook at `reconnect` ends a guest that runs.
 */
#include <cstdio>
#include <string>

#include "agent_client.h"
#include "clock.h"
#include "input.h"
#include "options.h"
#include "stand_in.h"

namespace {

using namespace tapwall::hook;

Verdict Ask(const HookOptions& options, const Deadline& deadline) {
  const std::optional<std::string> xml = ReadInput(deadline);
  if (!xml) return {false, "cannot read the domain's XML from libvirt"};
  const Answer answer = AskAgent(options, *xml, deadline);
  if (answer.reached) return answer.verdict;
  return RunStandIn(options, *xml, deadline);
}

}  // namespace

int main(int count, char** arguments) {
  HookOptions options;
  const std::string mistake = ReadOptions(count, arguments, &options);
  if (!mistake.empty()) {
    fprintf(stderr, "tapwall: %s\n", mistake.c_str());
    return 1;
  }
  if (!options.IsOfInterest()) return 0;
  const Verdict verdict = Ask(options, Deadline(options.timeout_ms));
  if (!verdict.message.empty()) fprintf(stderr, "tapwall: %s\n", verdict.message.c_str());
  return verdict.passes || !options.MayRefuse() ? 0 : 1;
}
