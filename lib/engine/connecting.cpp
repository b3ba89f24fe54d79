// SPDX-License-Identifier: BSL-1.0
#include "engine/connecting.hpp"

#include <sys/socket.h>

#include <absl/strings/str_cat.h>

#include <utility>

namespace conn_grpc::engine {
namespace {

// The words are those of gRPC's own engine.
absl::Status cannot_connect(const std::string& why) {
  return absl::UnknownError(absl::StrCat("Failed to connect to remote host: ", why));
}

}  // namespace

std::int64_t connecting_set::add(const std::shared_ptr<connecting>& attempt) {
  const std::lock_guard lock(mutex_);
  attempts_.emplace(++last_, attempt);
  return last_;
}

std::shared_ptr<connecting> connecting_set::take(std::int64_t number) {
  const std::lock_guard lock(mutex_);
  const auto found = attempts_.find(number);
  if (found == attempts_.end()) return nullptr;
  auto taken = std::move(found->second);
  attempts_.erase(found);
  return taken;
}

connecting::connecting(std::shared_ptr<event_loop> loop, std::shared_ptr<connecting_set> all,
                       EventEngine::OnConnectCallback called, const socket_address& address, socket_options options,
                       MemoryAllocator allocator)
    : loop_(std::move(loop)),
      all_(std::move(all)),
      address_(address),
      options_(options),
      called_(std::move(called)),
      allocator_(std::move(allocator)) {}

std::int64_t connecting::start(event_loop::clock::duration timeout) {
  const auto number = all_->add(shared_from_this());
  {
    const std::lock_guard lock(mutex_);
    number_ = number;
    timeout_ = loop_->run_after(timeout, task(task::function([weak = weak_from_this(), number] {
                                  const auto self = weak.lock();
                                  if (self && self->all_->take(number))
                                    self->fail(cannot_connect("connect() timed out"));
                                })));
  }
  registration_.emplace(loop_, weak_from_this());
  loop_->begin_in_context(shared_from_this());
  return number;
}

boost::system::error_code connecting::open(asio::io_context& context) {
  boost::system::error_code error;
  const auto* const address = address_.address();
  socket_.emplace(context);
  // NOLINTNEXTLINE(bugprone-unused-return-value): it returns the same error
  (void)socket_->open(protocol_of(address->sa_family), error);
  if (!error) options_.apply(socket_->native_handle(), address->sa_family);
  return error;
}

void connecting::begin() noexcept {
  std::unique_lock lock(mutex_);
  auto* const context = loop_->context();
  if (detached_ || !called_ || context == nullptr) return;
  const auto error = open(*context);
  if (error) {
    lock.unlock();
    if (all_->take(number_)) fail(cannot_connect(error.message()));
    return;
  }
  event_loop::initiate_uncounted(*context, [&](auto wrap) {
    socket_->async_connect(asio::generic::stream_protocol::endpoint(address_.address(), address_.size()),
                           wrap([self = shared_from_this()](boost::system::error_code result) {
                             self->loop_->in_turn([&] { self->connected(result); });
                           }));
  });
}

void connecting::connected(boost::system::error_code error) {
  if (!all_->take(number_)) return;
  if (error) return fail(cannot_connect(error.message()));
  std::shared_ptr<connection> made;
  {
    const std::lock_guard lock(mutex_);
    if (socket_) made = std::make_shared<connection>(loop_, *std::move(socket_), std::move(allocator_), address_);
    socket_.reset();
  }
  if (!made) return fail(absl::UnavailableError("the io_context or its event_engine_scope has ended"));
  made->start();
  loop_->share_completion_poll();
  auto called = release();
  called(std::make_unique<endpoint>(std::move(made)));
}

void connecting::fail(const absl::Status& why) {
  loop_->run(task::function([called = release(), why]() mutable { called(why); }));
}

EventEngine::OnConnectCallback connecting::cancel() { return release(); }

EventEngine::OnConnectCallback connecting::release() {
  timer_handle timeout;
  EventEngine::OnConnectCallback called;
  {
    const std::lock_guard lock(mutex_);
    called = std::exchange(called_, nullptr);
    timeout = timeout_;
    socket_.reset();
  }
  loop_->cancel(timeout);
  return called;
}

void connecting::detached() noexcept {
  {
    const std::lock_guard lock(mutex_);
    detached_ = true;
    socket_.reset();
  }
  if (all_->take(number_)) fail(absl::UnavailableError("the io_context or its event_engine_scope has ended"));
}

}  // namespace conn_grpc::engine
