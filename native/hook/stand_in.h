#ifndef TAPWALL_HOOK_STAND_IN_H_
#define TAPWALL_HOOK_STAND_IN_H_

#include <string>

#include "clock.h"
#include "options.h"

namespace tapwall::hook {

/**
 * Runs `tapwall libvirt hook`, which does once what an agent would. It writes to our standard error, where libvirt reads
 * what it has to say. It ends in time, or is ended.
 */
Verdict RunStandIn(const HookOptions& options, const std::string& xml, const Deadline& deadline);

}  // namespace tapwall::hook

#endif  // TAPWALL_HOOK_STAND_IN_H_
