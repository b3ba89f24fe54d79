// SPDX-License-Identifier: BSL-1.0
#include "engine/connection.hpp"

#include "grpc/call_into_grpc.hpp"

#include <grpc/slice.h>
#include <grpc/slice_buffer.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <absl/strings/str_cat.h>
#include <boost/asio/buffer.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <system_error>
#include <utility>

namespace conn_grpc::engine {
namespace {

constexpr std::size_t smallest_read = std::size_t{4} * 1024;
constexpr std::size_t largest_read = std::size_t{256} * 1024;
constexpr std::size_t smallest_room = 1024;  // what is left of a slice is used down to this

// After a read that has led to more callbacks, the next slice is smaller. Otherwise what was read first
// leaves the CPU's caches before it is completed, and the server is idle meanwhile.
constexpr std::uint64_t most_callbacks_of_read = 16;

constexpr int most_reads_of_close = 64;  // the peer may send without end

constexpr std::size_t most_slices_of_send = 256;

// gRPC makes the status of the RPCs that end with the connection of this. The words are
// those of its own engine: they are what the library looks for.
absl::Status socket_closed() { return absl::UnavailableError("Socket closed"); }

absl::Status failed(const char* what, int error) {
  return absl::UnavailableError(absl::StrCat(what, ": ", std::generic_category().message(error)));
}

// With unread bytes, the kernel would reset the connection, and drop what it still has to send. Bytes
// that arrive later still have this effect.
void discard_unread_and_close(std::optional<stream_socket>& socket) {
  if (!socket) return;
  std::array<char, 4096> unread;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  for (int reads = 0; reads < most_reads_of_close; ++reads)
    // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): MSG_DONTWAIT
    if (::recv(socket->native_handle(), unread.data(), unread.size(), MSG_DONTWAIT) <= 0) break;
  socket.reset();
}

}  // namespace

asio::generic::stream_protocol protocol_of(int family) {
  return {family, family == AF_INET || family == AF_INET6 ? IPPROTO_TCP : 0};
}

socket_address local_address_of(int descriptor) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
  return {reinterpret_cast<const sockaddr*>(&address), std::min<socklen_t>(size, socket_address::MAX_SIZE_BYTES)};
}

connection::connection(std::shared_ptr<event_loop> loop, stream_socket socket, MemoryAllocator allocator,
                       const socket_address& peer)
    : loop_(std::move(loop)),
      allocator_(std::move(allocator)),
      peer_(peer),
      local_(local_address_of(socket.native_handle())),
      room_(::grpc_empty_slice()),
      usual_size_(smallest_read),
      socket_(std::move(socket)) {}

connection::~connection() { ::grpc_slice_unref(room_); }

void connection::start() { registration_.emplace(loop_, weak_from_this()); }

void connection::fail_later(callback called, const absl::Status& why) {
  loop_->run(task::function([called = std::move(called), why]() mutable { called(why); }));
}

// ---- Reading

void connection::make_room(std::int64_t hint) {
  if (GRPC_SLICE_LENGTH(room_) >= smallest_room) return;
  const auto hinted = static_cast<std::size_t>(std::clamp<std::int64_t>(hint, 0, largest_read));
  ::grpc_slice_unref(room_);
  room_ = allocator_.MakeSlice(std::max(usual_size_, hinted));
}

void connection::take_bytes(std::size_t size, SliceBuffer& into) {
  const auto callbacks = callbacks_of_read_.load(std::memory_order_relaxed);
  if (size == GRPC_SLICE_LENGTH(room_) && callbacks <= most_callbacks_of_read)
    usual_size_ = std::min(usual_size_ * 2, largest_read);
  else if (size < usual_size_ / 8 || callbacks > most_callbacks_of_read)
    usual_size_ = std::max(usual_size_ / 2, smallest_read);
  ::grpc_slice_buffer_add(into.c_slice_buffer(), ::grpc_slice_split_head(&room_, size));
}

std::ptrdiff_t connection::receive(stream_socket& socket) {
  std::ptrdiff_t size = 0;
  // NOLINTNEXTLINE(clang-analyzer-unix.BlockInCriticalSection): MSG_DONTWAIT
  do size = ::recv(socket.native_handle(), GRPC_SLICE_START_PTR(room_), GRPC_SLICE_LENGTH(room_), MSG_DONTWAIT);
  while (size < 0 && errno == EINTR);
  return size;
}

void connection::read(callback called, SliceBuffer* into, std::int64_t hint) {
  into->Clear();
  make_room(hint);
  absl::Status error;
  {
    const std::lock_guard lock(mutex_);
    if (reading_) std::abort();  // gRPC reads twice at the same time
    error = closed_;
    if (error.ok()) reading_ = {.called = std::move(called), .buffer = into};
  }
  if (!error.ok())
    fail_later(std::move(called), error);  // NOLINT(bugprone-use-after-move): it is moved only without an error
  else
    loop_->begin_in_context(shared_from_this());
}

bool connection::continue_reading() {
  std::ptrdiff_t size = 0;
  absl::Status error;
  pending_read ended;
  {
    const std::lock_guard lock(mutex_);
    if (!reading_ || !socket_) return true;
    size = receive(*socket_);
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (size <= 0) error = size < 0 ? failed("recv", errno) : socket_closed();
    if (size <= 0 && !send_error_.ok()) error = send_error_;
    ended = std::exchange(reading_, {});
  }
  if (size > 0) take_bytes(static_cast<std::size_t>(size), *ended.buffer);
  if (size > 0 && !std::exchange(has_read_, true)) loop_->share_completion_poll();  // the peer's SETTINGS
  const auto queued_before = loop_->callbacks_ever_queued();
  {
    const detail::call_into_grpc inside;
    ended.called(error);
  }
  callbacks_of_read_.store(loop_->callbacks_ever_queued() - queued_before, std::memory_order_relaxed);
  return true;
}

// ---- Writing

bool connection::send(stream_socket& socket, send_result& result) {
  while (!unsent_.empty() && result.error.ok()) {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): 4 KiB for each send
    std::array<iovec, most_slices_of_send> parts;
    msghdr message{};
    message.msg_iov = parts.data();
    message.msg_iovlen = unsent_.fill(parts);
    const auto size = ::sendmsg(socket.native_handle(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (size >= 0) {
      unsent_.record_sent(static_cast<std::size_t>(size));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return false;
    } else if (errno != EINTR) {
      result.error = send_error_ = failed("sendmsg", errno);
      ::shutdown(socket.native_handle(), SHUT_RDWR);  // ends the read, after what has arrived
    }
  }
  result.slices = unsent_.take_all();
  reported_as_sent_ = false;
  return true;
}

bool connection::write(callback called, SliceBuffer* from) {
  send_result sent;
  bool is_sent_later = false;
  bool begins_wait = false;
  {
    const std::lock_guard lock(mutex_);
    if (writing_) std::abort();  // gRPC writes twice at the same time
    sent.error = closed_.ok() ? send_error_ : closed_;
    if (socket_ && sent.error.ok()) {
      unsent_.append(*from);
      is_sent_later = write_is_put_off_ || write_waits_;
      if (!is_sent_later && !is_calling_back_)
        is_sent_later = write_is_put_off_ = loop_->will_flush(shared_from_this());
      if (!is_sent_later) is_sent_later = begins_wait = !send(*socket_, sent);
      if (is_sent_later) writing_ = std::move(called);
    }
  }
  if (begins_wait) loop_->begin_in_context(shared_from_this());
  if (is_sent_later) return false;
  if (sent.error.ok()) {
    loop_->has_sent();
    return true;
  }
  fail_later(std::move(called), sent.error);  // NOLINT(bugprone-use-after-move): it is moved only when it is sent later
  return false;
}

void connection::flush() {
  callback end_of_write;
  {
    const std::lock_guard lock(mutex_);
    if (write_is_put_off_) end_of_write = std::exchange(writing_, nullptr);
    reported_as_sent_ = reported_as_sent_ || end_of_write;
  }
  if (end_of_write) {
    const detail::call_into_grpc inside;
    end_of_write(absl::OkStatus());  // gRPC writes what it has collected meanwhile
  }
  {
    const std::lock_guard lock(mutex_);
    write_is_put_off_ = false;
    if (write_waits_) return;
  }
  if (!continue_writing()) loop_->begin_in_context(shared_from_this());
}

void connection::try_again() {
  {
    const std::lock_guard lock(mutex_);
    write_is_put_off_ = false;
  }
  (void)continue_writing();
  (void)continue_reading();
}

bool connection::continue_writing() {
  send_result sent;
  callback ended;
  {
    const std::lock_guard lock(mutex_);
    if (!has_unsent() || !socket_ || write_is_put_off_) return true;
    if (!send(*socket_, sent)) return false;
    if (!closed_.ok()) discard_unread_and_close(socket_);
    ended = std::exchange(writing_, nullptr);
    is_calling_back_ = true;  // what gRPC writes then is all that it has collected
  }
  if (sent.error.ok()) loop_->has_sent();
  if (ended) {
    const detail::call_into_grpc inside;
    ended(sent.error);
  }
  const std::lock_guard lock(mutex_);
  is_calling_back_ = false;
  return true;
}

// ---- Both

void connection::begin() noexcept {
  const std::lock_guard lock(mutex_);
  auto* const context = loop_->context();
  if (!socket_ || context == nullptr) return;
  if (reading_ && !read_waits_) wait(stream_socket::wait_read, read_waits_, &connection::continue_reading, *context);
  if (has_unsent() && !write_waits_ && !write_is_put_off_)
    wait(stream_socket::wait_write, write_waits_, &connection::continue_writing, *context);
}

// With the mutex held.
void connection::wait(stream_socket::wait_type ready, bool& waits, bool (connection::*go_on)(),
                      asio::io_context& context) {
  waits = true;
  event_loop::initiate_uncounted(context, [&](auto wrap) {
    socket_->async_wait(ready, wrap([self = shared_from_this(), &waits, go_on](boost::system::error_code) {
                          self->loop_->in_turn([&] {
                            {
                              const std::lock_guard lock(self->mutex_);
                              waits = false;
                            }
                            if (!(self.get()->*go_on)()) self->begin();
                          });
                        }));
  });
}

void connection::close(const absl::Status& why) noexcept { end(why, true); }

void connection::detached() noexcept {
  end(absl::UnavailableError("Socket closed: gRPC's io_context or its event_engine_scope has ended"), false);
}

void connection::end(const absl::Status& why, bool may_linger) noexcept {
  send_result sent;
  pending_read read;
  callback write;
  bool lingers = false;
  {
    const std::lock_guard lock(mutex_);
    if (!socket_) return;
    if (closed_.ok()) closed_ = why;
    read = std::exchange(reading_, {});
    write = std::exchange(writing_, nullptr);
    write_is_put_off_ = false;
    const bool waits = !send(*socket_, sent);
    lingers = waits && may_linger && reported_as_sent_;
    if (!lingers) discard_unread_and_close(socket_);
    if (waits && !lingers) sent.slices = unsent_.take_all();
  }
  if (read) fail_later(std::move(read.called), why);
  if (write) fail_later(std::move(write), why);
  // The slices are released in a later callback, because gRPC may hold a mutex now.
  if (sent.slices.Count() > 0) loop_->run(task::function([released = std::move(sent.slices)] {}));
  if (lingers) loop_->begin_in_context(shared_from_this());
}

}  // namespace conn_grpc::engine
