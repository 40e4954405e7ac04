#include "netlink_socket.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>

#include "deadline.h"
#include "failure.h"
#include "in_namespace.h"

namespace tapwall {
namespace {

/** A netlink option (netlink(7)) that an older kernel need not know: such a kernel answers ENOPROTOOPT. */
enum class Need { kRequired, kOptional };

void SetNetlinkOption(mnl_socket* socket, int option, uint32_t value, Need need, const char* name) {
  if (mnl_socket_setsockopt(socket, option, &value, sizeof value) == 0) return;
  if (errno == ENOPROTOOPT && need == Need::kOptional) return;
  throw SystemCallFailure(errno, "setsockopt", name);
}

/** True if `messages` has the end of the answer to the request `sequence`. */
bool EndsAnswer(Bytes messages, uint32_t sequence, uint32_t port_id) {
  const auto* message = reinterpret_cast<const nlmsghdr*>(messages.data);
  int left = static_cast<int>(std::min<size_t>(messages.size, std::numeric_limits<int>::max()));
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if (message->nlmsg_type != NLMSG_DONE && message->nlmsg_type != NLMSG_ERROR) continue;
    if (message->nlmsg_seq == sequence && message->nlmsg_pid == port_id) return true;
  }
  return false;
}

/** The sequence number of the last of some requests that asks for an acknowledgement; none if no request does. */
std::optional<uint32_t> LastAsked(Bytes requests) {
  std::optional<uint32_t> sequence;
  const auto* message = reinterpret_cast<const nlmsghdr*>(requests.data);
  int left = static_cast<int>(std::min<size_t>(requests.size, std::numeric_limits<int>::max()));
  for (; mnl_nlmsg_ok(message, left); message = mnl_nlmsg_next(message, &left)) {
    if ((message->nlmsg_flags & NLM_F_ACK) != 0) sequence = message->nlmsg_seq;
  }
  return sequence;
}

/** True if `answer` is one acknowledgement of success, without a word of the kernel's beside it. */
bool IsPlainSuccess(Bytes answer, uint32_t sequence) {
  struct {
    nlmsghdr header;
    nlmsgerr error;
  } message;
  if (answer.size != sizeof message) return false;
  memcpy(&message, answer.data, sizeof message);
  return message.header.nlmsg_type == NLMSG_ERROR && message.header.nlmsg_len == sizeof message &&
         message.header.nlmsg_seq == sequence && message.error.error == 0;
}

}  // namespace

NetlinkSocket::NetlinkSocket(const NetlinkSocketOptions& options) : groups_(options.groups) {
  socket_ = InNamespace(options.namespace_fd, [&options] {
    Handle socket(mnl_socket_open2(options.protocol, SOCK_CLOEXEC));
    if (socket == nullptr) throw SystemCallFailure(errno, "socket");
    return socket;
  });
  // CAP_ACK: an acknowledgement quotes the header of a refused request and not all of it, which keeps the
  // answer to a large batch small.
  SetNetlinkOption(socket_.get(), NETLINK_EXT_ACK, 1, Need::kRequired, "NETLINK_EXT_ACK");
  SetNetlinkOption(socket_.get(), NETLINK_CAP_ACK, 1, Need::kOptional, "NETLINK_CAP_ACK");
  if (options.strict) {
    SetNetlinkOption(socket_.get(), NETLINK_GET_STRICT_CHK, 1, Need::kOptional, "NETLINK_GET_STRICT_CHK");
  }
  if (options.receive_buffer > 0) {
    Check(
        setsockopt(fd(), SOL_SOCKET, SO_RCVBUFFORCE, &options.receive_buffer, sizeof options.receive_buffer),
        "setsockopt", "SO_RCVBUFFORCE");
  }
  if (!options.filter.empty()) {
    const sock_fprog program = {static_cast<unsigned short>(options.filter.size()),
                                const_cast<sock_filter*>(options.filter.data())};
    Check(setsockopt(fd(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), "setsockopt",
          "SO_ATTACH_FILTER");
  }
  Check(mnl_socket_bind(socket_.get(), 0, MNL_SOCKET_AUTOPID), "bind");
  // Last: whatever arrives has passed the filter, and has found the receive buffer at its full size.
  Listen(true);
}

void NetlinkSocket::Listen(bool on) {
  for (const uint32_t group : groups_) {
    if (on) {
      SetNetlinkOption(socket_.get(), NETLINK_ADD_MEMBERSHIP, group, Need::kRequired,
                       "NETLINK_ADD_MEMBERSHIP");
    } else {
      SetNetlinkOption(socket_.get(), NETLINK_DROP_MEMBERSHIP, group, Need::kRequired,
                       "NETLINK_DROP_MEMBERSHIP");
    }
  }
}

Bytes NetlinkSocket::Transact(Bytes request) {
  buffer_.Clear();
  Send(request);
  ReceiveAll();
  return buffer_.From(0);
}

Bytes NetlinkSocket::Confirm(Bytes request) {
  const std::optional<uint32_t> asked = LastAsked(request);
  buffer_.Clear();
  Send(request);
  try {
    if (Receive() && asked && IsPlainSuccess(buffer_.From(0), *asked)) return {};
  } catch (...) {
    DiscardQueued();
    throw;
  }
  ReceiveAll();
  return buffer_.From(0);
}

Bytes NetlinkSocket::Dump(Bytes request, int timeout_ms) {
  nlmsghdr header;
  memcpy(&header, request.data, sizeof header);
  const Deadline deadline(timeout_ms);
  buffer_.Clear();
  Send(request);
  try {
    for (;;) {
      // The kernel writes the next part of a dump into the queue while it hands out the one before, so there
      // is rarely anything to wait for.
      const size_t start = ReceiveBuffer::Align(buffer_.size());
      if (Receive()) {
        if (EndsAnswer(buffer_.From(start), header.nlmsg_seq, port_id())) return buffer_.From(0);
        if (!deadline.HasPassed()) continue;
      } else {
        pollfd file = {fd(), POLLIN, 0};
        if (deadline.Poll(&file, 1) > 0) continue;
      }
      throw SystemCallFailure(ETIMEDOUT, "poll");
    }
  } catch (...) {
    // A dump that is broken off goes on in the kernel, which answers EBUSY to the next one, until its rest
    // has been read.
    DiscardQueued();
    throw;
  }
}

Bytes NetlinkSocket::ReceiveOne() {
  buffer_.Clear();
  return Receive() ? buffer_.From(0) : Bytes{};
}

std::optional<std::string> NetlinkSocket::LinkName(int index) {
  ifreq request = {};
  request.ifr_ifindex = index;
  // netdevice(7): any socket will do. RTM_GETLINK would wait for the lock that is held while a link is made.
  if (ioctl(fd(), SIOCGIFNAME, &request) == 0) {
    return std::string(request.ifr_name, strnlen(request.ifr_name, sizeof request.ifr_name));
  }
  if (errno == ENODEV) return std::nullopt;
  throw SystemCallFailure(errno, "ioctl", "SIOCGIFNAME");
}

void NetlinkSocket::Send(Bytes request) {
  if (mnl_socket_sendto(socket_.get(), request.data, request.size) >= 0) return;
  if (errno == EMSGSIZE) {
    RaiseSendBuffer(request.size);
    if (mnl_socket_sendto(socket_.get(), request.data, request.size) >= 0) return;
  }
  throw SystemCallFailure(errno, "sendto");
}

/** A request may be as large as the send buffer less 32 bytes (net/netlink/af_netlink.c, netlink_sendmsg). */
void NetlinkSocket::RaiseSendBuffer(size_t size) {
  // The kernel doubles the value (socket(7)), so half the range of int is the most it can take.
  const int value = static_cast<int>(std::min<size_t>(size, std::numeric_limits<int>::max() / 2));
  if (setsockopt(fd(), SOL_SOCKET, SO_SNDBUFFORCE, &value, sizeof value) == 0) return;
  // No CAP_NET_ADMIN outside a user namespace: what net.core.wmem_max allows is better than nothing, and
  // sendto(2) tells if it is enough.
  setsockopt(fd(), SOL_SOCKET, SO_SNDBUF, &value, sizeof value);
}

/** Appends the next datagram to the buffer; false if there is none. */
bool NetlinkSocket::Receive() {
  for (;;) {
    sockaddr_nl sender = {};
    iovec part = {buffer_.NextDatagram(), ReceiveBuffer::kDatagram};
    msghdr message = {};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const ssize_t size = recvmsg(fd(), &message, MSG_DONTWAIT);
    if (size < 0) {
      if (errno == EAGAIN) return false;
      if (errno == EINTR) continue;
      throw SystemCallFailure(errno, "recvmsg");
    }
    // Port 0 is the kernel's; any process that may send here has one of its own, which the kernel fills in
    // (netlink(7)).
    if (message.msg_namelen != sizeof sender || sender.nl_pid != 0) continue;
    if ((message.msg_flags & MSG_TRUNC) != 0) throw SystemCallFailure(EMSGSIZE, "recvmsg");
    buffer_.Append(static_cast<size_t>(size));
    return true;
  }
}

/** Appends all that is queued to the buffer. */
void NetlinkSocket::ReceiveAll() {
  try {
    while (Receive()) {
    }
  } catch (...) {
    DiscardQueued();
    throw;
  }
}

/** Reads the queue empty, without a look at what is in it. */
void NetlinkSocket::DiscardQueued() {
  uint8_t byte;
  // ENOBUFS may be reported in between, once for each loss. Any other error, EAGAIN first of all, is the end.
  while (recv(fd(), &byte, sizeof byte, MSG_DONTWAIT) >= 0 || errno == ENOBUFS || errno == EINTR) {
  }
}

}  // namespace tapwall
