#include "json.h"

#include <cstdio>
#include <cstdlib>

namespace tapwall::hook {
namespace {

/** A code point of the basic plane as UTF-8. JSON.stringify escapes control characters and lone surrogates alone. */
void AppendUtf8(unsigned long code, std::string* text) {
  if (code < 0x80) {
    text->push_back(static_cast<char>(code));
  } else if (code < 0x800) {
    text->push_back(static_cast<char>(0xc0 | (code >> 6)));
    text->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  } else {
    text->push_back(static_cast<char>(0xe0 | (code >> 12)));
    text->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
    text->push_back(static_cast<char>(0x80 | (code & 0x3f)));
  }
}

char Unescaped(char letter) {
  switch (letter) {
    case 'n': return '\n';
    case 't': return '\t';
    case 'r': return '\r';
    case 'b': return '\b';
    case 'f': return '\f';
    default: return letter;
  }
}

}  // namespace

std::string Quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (letter == '"' || letter == '\\') {
      quoted.push_back('\\');
      quoted.push_back(letter);
    } else if (byte < 0x20) {
      char escape[8];
      snprintf(escape, sizeof escape, "\\u%04x", byte);
      quoted += escape;
    } else {
      quoted.push_back(letter);
    }
  }
  return quoted + "\"";
}

bool Has(const std::string& answer, const std::string& key, const std::string& value) {
  const std::string wanted = "\"" + key + "\":" + value;
  const size_t at = answer.find(wanted);
  if (at == std::string::npos) return false;
  const size_t next = at + wanted.size();
  return next < answer.size() && (answer[next] == ',' || answer[next] == '}');
}

std::optional<std::string> TextOf(const std::string& answer, const std::string& key) {
  const std::string start = "\"" + key + "\":\"";
  const size_t found = answer.find(start);
  if (found == std::string::npos) return std::nullopt;
  std::string text;
  for (size_t at = found + start.size(); at < answer.size(); ++at) {
    if (answer[at] == '"') return text;
    if (answer[at] != '\\') {
      text.push_back(answer[at]);
      continue;
    }
    if (++at >= answer.size()) break;
    if (answer[at] != 'u') {
      text.push_back(Unescaped(answer[at]));
      continue;
    }
    AppendUtf8(strtoul(answer.substr(at + 1, 4).c_str(), nullptr, 16), &text);
    at += 4;
  }
  return std::nullopt;
}

}  // namespace tapwall::hook
