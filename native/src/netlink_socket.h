#ifndef TAPWALL_NETLINK_SOCKET_H_
#define TAPWALL_NETLINK_SOCKET_H_

#include <libmnl/libmnl.h>
#include <linux/filter.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bytes.h"
#include "receive_buffer.h"

namespace tapwall {

struct NetlinkSocketOptions {
  int protocol;
  int namespace_fd;
  int receive_buffer;
  std::vector<uint32_t> groups;
  std::vector<sock_filter> filter;
  bool strict;
};

/**
 * A netlink(7) socket that listens to the kernel alone: a datagram from another process is dropped unseen.
 * Knows no JavaScript; throws SystemCallFailure.
 */
class NetlinkSocket {
 public:
  explicit NetlinkSocket(const NetlinkSocketOptions& options);

  int fd() const { return mnl_socket_get_fd(socket_.get()); }
  uint32_t port_id() const { return mnl_socket_get_portid(socket_.get()); }

  /**
   * Sends, then takes everything that is queued. The kernel handles route and netfilter requests inside
   * sendto(2), so the answer is complete by then.
   *
   * A failure of recvmsg (ENOBUFS: the acknowledgements did not fit into the receive buffer) says nothing
   * about the request: the kernel has carried it out or refused it. What is left of the answer is thrown
   * away, so that the next answer is not mistaken for it.
   *
   * @returns A view that holds until the next call, as for all of these.
   */
  Bytes Transact(Bytes request);

  /**
   * The same for a caller who only needs to know that all went well: none (data is nullptr) if the answer
   * begins with a plain success of the last message that asks for an acknowledgement. The kernel answers in the
   * order of the messages, so nothing comes behind it, and the queue need not be asked again.
   */
  Bytes Confirm(Bytes request);

  /**
   * Sends, then receives until the NLMSG_DONE or NLMSG_ERROR of the request's sequence number, which is part
   * of what is returned, like all that came before it. ETIMEDOUT after `timeout_ms`.
   *
   * @param request At least a whole message header.
   */
  Bytes Dump(Bytes request, int timeout_ms);

  /**
   * One datagram, or none (data is nullptr). ENOBUFS is reported once; what came before the loss is still
   * there.
   */
  Bytes ReceiveOne();

  /**
   * Joins the groups that the socket was opened for, or leaves them. While nobody is in a group the kernel does
   * not even make what it would be told.
   */
  void Listen(bool on);

  /** The name of a link of the socket's namespace; none if there is no such link. */
  std::optional<std::string> LinkName(int index);

 private:
  struct Close {
    void operator()(mnl_socket* socket) const { mnl_socket_close(socket); }
  };

  using Handle = std::unique_ptr<mnl_socket, Close>;

  void Send(Bytes request);
  void RaiseSendBuffer(size_t size);
  bool Receive();
  void ReceiveAll();
  void DiscardQueued();

  Handle socket_;
  std::vector<uint32_t> groups_;
  ReceiveBuffer buffer_;
};

}  // namespace tapwall

#endif  // TAPWALL_NETLINK_SOCKET_H_
