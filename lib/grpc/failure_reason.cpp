// SPDX-License-Identifier: BSL-1.0
#include "grpc/failure_reason.hpp"

#include "grpc/completion_thread.hpp"

#include <grpcpp/client_context.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <array>
#include <chrono>
#include <memory>
#include <utility>

namespace conn_grpc::detail {
namespace {

// A request that gRPC does not keep for a retry: it is larger than the default of
// GRPC_ARG_PER_RPC_RETRY_BUFFER_SIZE. A service config may ask for retries of every
// method. Then gRPC would retry until the deadline, and report only that.
::grpc::ByteBuffer request_without_retry() {
  static std::array<char, 256 * 1024 + 1> zeros;
  const ::grpc::Slice slice(zeros.data(), zeros.size(), ::grpc::Slice::STATIC_SLICE);
  return {&slice, 1};
}

class reason_call final : public pending_completion {
 public:
  reason_call(const channel_ptr& channel, std::function<void(std::string)> then)
      : then_(std::move(then)), call_(std::make_unique<call>(channel)) {}

  void start(::grpc::CompletionQueue* queue, void* tag) {
    call_->reader =
        call_->stub.PrepareUnaryCall(&call_->context, method_that_asks_for_reason, request_without_retry(), queue);
    call_->reader->StartCall();
    call_->reader->Finish(&call_->reply, &call_->status, tag);
  }

  [[nodiscard]] bool is_of_call() const noexcept override { return true; }

  void complete(bool) noexcept override {
    std::string reason = call_->status.error_message();
    call_.reset();  // it holds the channel
    then_(std::move(reason));
  }

 private:
  struct call {
    explicit call(const channel_ptr& channel) : stub(channel) {
      context.set_wait_for_ready(false);
      // If the channel has recovered in between, this limits the wait for a server that
      // does not know the method.
      context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(1));
    }

    ::grpc::GenericStub stub;
    ::grpc::ClientContext context;
    std::unique_ptr<::grpc::ClientAsyncResponseReader<::grpc::ByteBuffer>> reader;
    ::grpc::ByteBuffer reply;
    ::grpc::Status status;
  };

  std::function<void(std::string)> then_;
  std::unique_ptr<call> call_;
};

}  // namespace

void ask_for_failure_reason(const channel_ptr& channel, std::function<void(std::string)> then) {
  auto call = std::make_unique<reason_call>(channel, std::move(then));
  auto& starting = *call;
  completion_thread::instance().submit(std::move(call),
                                       [&](::grpc::CompletionQueue* queue, void* tag) { starting.start(queue, tag); });
}

}  // namespace conn_grpc::detail
