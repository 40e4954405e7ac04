#include "nftables.h"

#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "arguments.h"
#include "failure.h"
#include "in_namespace.h"
#include "nft_context.h"

namespace tapwall {
namespace {

struct NftablesOptions {
  int namespace_fd;
  std::optional<std::string> input;
  std::optional<std::string> file;
  std::vector<std::string> variables;
  std::vector<std::string> include_paths;
  bool json;
  bool dry_run;
  unsigned int output_flags;
};

struct NftablesResult {
  int status;
  std::string output;
  std::string error;
};

NftablesOptions ReadOptions(Napi::Value value) {
  constexpr int kMaximumInt = std::numeric_limits<int>::max();
  const Options options(value, "options");
  NftablesOptions read;
  read.namespace_fd = static_cast<int>(options.Integer("namespace", -1, kMaximumInt));
  read.input = options.StringOrNull("input");
  read.file = options.StringOrNull("file");
  if (read.input.has_value() == read.file.has_value()) {
    throw ArgumentFailure("Exactly one of options.input and options.file must be a string, the other null");
  }
  read.variables = options.Strings("variables");
  if (!read.variables.empty() && !read.file) {
    throw ArgumentFailure(
        "options.variables need options.file: as for nft -D, libnftables defines them for a file only");
  }
  read.include_paths = options.Strings("includePaths");
  read.json = options.Boolean("json");
  read.dry_run = options.Boolean("dryRun");
  read.output_flags = static_cast<unsigned int>(options.Integer("outputFlags", 0, kMaximumInt));
  return read;
}

NftablesResult Run(const NftablesOptions& options) {
  NftContext context;
  const unsigned int flags = options.output_flags & ~static_cast<unsigned int>(NFT_CTX_OUTPUT_JSON);
  context.set_output_flags(flags | (options.json ? static_cast<unsigned int>(NFT_CTX_OUTPUT_JSON) : 0));
  context.set_dry_run(options.dry_run);
  context.ClearIncludePaths();
  for (const std::string& path : options.include_paths) context.AddIncludePath(path);
  for (const std::string& definition : options.variables) context.AddVariable(definition);
  const int status = options.input ? context.Run(*options.input) : context.RunFile(*options.file);
  return {status, context.output(), context.error()};
}

}  // namespace

Napi::Value RunNftables(const Napi::CallbackInfo& info) {
  const NftablesOptions options = ReadOptions(info[0]);
  const NftablesResult result = InNamespace(options.namespace_fd, [&options] { return Run(options); });
  const Napi::Object object = Napi::Object::New(info.Env());
  object.Set("status", result.status);
  object.Set("output", result.output);
  object.Set("error", result.error);
  return object;
}

}  // namespace tapwall
