#ifndef TAPWALL_HOOK_INPUT_H_
#define TAPWALL_HOOK_INPUT_H_

#include <optional>
#include <string>

#include "clock.h"

namespace tapwall::hook {

/** All of standard input; none when it does not end in time, or is larger than any domain's XML. */
std::optional<std::string> ReadInput(const Deadline& deadline);

}  // namespace tapwall::hook

#endif  // TAPWALL_HOOK_INPUT_H_
