#include "nft_context.h"

#include <linux/netlink.h>
#include <sys/socket.h>

#include <new>

#include "failure.h"
#include "unique_fd.h"

namespace tapwall {
namespace {

/** The process's, not the environment's: workers share the library. */
std::mutex& LibraryMutex() {
  static std::mutex mutex;
  return mutex;
}

}  // namespace

NftContext::NftContext() : lock_(LibraryMutex()) {
  // nft_ctx_new opens such a socket, and calls exit(3) where it gets none: no nf_tables in the kernel, no
  // descriptor left.
  const UniqueFd probe(Check(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), "socket"));
  context_.reset(nft_ctx_new(NFT_CTX_DEFAULT));
  if (context_ == nullptr) throw std::bad_alloc();
  if (nft_ctx_buffer_output(context_.get()) != 0 || nft_ctx_buffer_error(context_.get()) != 0)
    throw std::bad_alloc();
}

void NftContext::AddIncludePath(const std::string& path) {
  if (nft_ctx_add_include_path(context_.get(), path.c_str()) != 0) throw std::bad_alloc();
}

void NftContext::AddVariable(const std::string& definition) {
  if (nft_ctx_add_var(context_.get(), definition.c_str()) == 0) return;
  throw SystemCallFailure(EINVAL, "nft_ctx_add_var", ("'" + definition + "'").c_str());
}

}  // namespace tapwall
