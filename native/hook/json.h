#ifndef TAPWALL_HOOK_JSON_H_
#define TAPWALL_HOOK_JSON_H_

#include <optional>
#include <string>

/** As much of JSON as one request and one answer of the control protocol need. */
namespace tapwall::hook {

/** The text as a JSON string, quotes included (RFC 8259, section 7). Bytes of UTF-8 stay as they are. */
std::string Quote(const std::string& text);

/**
 * Whether the answer has this key with this value, as JSON.stringify writes them: `"ok":true`. Inside a string the quotes
 * would have backslashes, so the text of a message cannot look like that.
 */
bool Has(const std::string& answer, const std::string& key, const std::string& value);

/** The text of the first key of that name whose value is a string. */
std::optional<std::string> TextOf(const std::string& answer, const std::string& key);

}  // namespace tapwall::hook

#endif  // TAPWALL_HOOK_JSON_H_
