#ifndef TAPWALL_NFT_CONTEXT_H_
#define TAPWALL_NFT_CONTEXT_H_

#include <nftables/libnftables.h>

#include <memory>
#include <mutex>
#include <string>

namespace tapwall {

/**
 * A context of libnftables (libnftables(3)) that keeps its output and its error text to itself.
 *
 * - One lives at a time in the process: the library's scanner, its cache of interface names and its symbol
 *   tables are global.
 * - It works in the network namespace of the thread that made it, where it opened its socket; it stays in
 *   that thread.
 * - The library can end the process that uses it (assertions, exit(2)) and can loop for ever, so untrusted
 *   text belongs into a process of its own.
 */
class NftContext {
 public:
  NftContext();

  void set_output_flags(unsigned int flags) { nft_ctx_output_set_flags(context_.get(), flags); }
  void set_dry_run(bool dry_run) { nft_ctx_set_dry_run(context_.get(), dry_run); }
  void ClearIncludePaths() { nft_ctx_clear_include_paths(context_.get()); }
  void AddIncludePath(const std::string& path);
  /** @param definition `name=value`; without the sign the library refuses it (EINVAL). */
  void AddVariable(const std::string& definition);

  /** What the library returned: 0 for success. */
  int Run(const std::string& commands) { return nft_run_cmd_from_buffer(context_.get(), commands.c_str()); }
  int RunFile(const std::string& path) { return nft_run_cmd_from_filename(context_.get(), path.c_str()); }

  std::string output() const { return Text(nft_ctx_get_output_buffer(context_.get())); }
  std::string error() const { return Text(nft_ctx_get_error_buffer(context_.get())); }

 private:
  struct Free {
    void operator()(nft_ctx* context) const { nft_ctx_free(context); }
  };

  static std::string Text(const char* text) { return text == nullptr ? std::string() : std::string(text); }

  // In this order: the context is freed, which touches the library's globals as well, before the lock is
  // released.
  std::unique_lock<std::mutex> lock_;
  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace tapwall

#endif  // TAPWALL_NFT_CONTEXT_H_
