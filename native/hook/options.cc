#include "options.h"

#include <cstdlib>

namespace tapwall::hook {
namespace {

constexpr int kArgumentsOfOurs = 6;
/** GUEST OPERATION SUB-OPERATION EXTRA, by libvirt's hooks documentation. */
constexpr int kArgumentsOfLibvirt = 4;
constexpr long kLongestTimeoutMs = 600'000;

}  // namespace

std::string ReadOptions(int count, char** arguments, HookOptions* options) {
  const std::vector<std::string> words(arguments + 1, arguments + count);
  if (words.size() < kArgumentsOfOurs + 1 + kArgumentsOfLibvirt || words[kArgumentsOfOurs] != "--") {
    return "this is run by the hook that 'tapwall libvirt install' writes";
  }
  char* end = nullptr;
  const long timeout = strtol(words[1].c_str(), &end, 10);
  if (*end != '\0' || timeout < 1 || timeout > kLongestTimeoutMs) return "no time limit: " + words[1];
  if (words[2] != "refuse" && words[2] != "allow") return "neither refuse nor allow: " + words[2];
  options->socket = words[0];
  options->timeout_ms = static_cast<int>(timeout);
  options->refuses = words[2] == "refuse";
  options->node = words[3];
  options->main = words[4];
  options->config = words[5];
  options->guest = words[kArgumentsOfOurs + 1];
  options->operation = words[kArgumentsOfOurs + 2];
  options->sub_operation = words[kArgumentsOfOurs + 3];
  return "";
}

}  // namespace tapwall::hook
