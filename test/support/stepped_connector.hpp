// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/connector.hpp"
#include "support/fake_channel.hpp"

namespace conn_grpc::test {

/// One attempt, which the test steps.
struct stepped_attempt {
  std::string address;
  bool reuses = false;  // the channel of the lost connection before
  runtime::connection_state state = runtime::connection_state::connecting;
  std::string failure;
  runtime::connection_loss loss;
  bool may_know_more = false;
  std::string not_serving;  // why; empty while it serves
  runtime::connection_observer changed;
  runtime::channel_ptr channel;
  bool given_up = false;

  void succeed() { step(runtime::connection_state::connected); }
  void lose(runtime::connection_loss why = {"closed by the peer"}) {
    loss = std::move(why);
    step(runtime::connection_state::lost);
  }
  /// The server announces that it closes the connection.
  void announce_end() {
    loss = {.reason = "closed by the peer, no RPC in flight", .kind = runtime::loss_kind::orderly, .reconnects = true};
    state = runtime::connection_state::lost;
    changed(runtime::connection_change::idle);
  }
  void stop_serving(std::string why = "not serving (health service \"\")") {
    not_serving = std::move(why);
    changed(runtime::connection_change::unusable);
  }
  void serve_again() {
    not_serving.clear();
    changed(runtime::connection_change::other);
  }
  void fail(std::string reason) {
    failure = std::move(reason);
    step(runtime::connection_state::failed);
  }

 private:
  void step(runtime::connection_state to) {
    state = to;
    const bool is_lost = to == runtime::connection_state::lost;
    changed(is_lost ? runtime::connection_change::unusable : runtime::connection_change::other);
  }
};

class stepped_connection final : public runtime::connection {
 public:
  explicit stepped_connection(std::shared_ptr<stepped_attempt> attempt) : attempt_(std::move(attempt)) {}
  ~stepped_connection() override { attempt_->given_up = true; }
  stepped_connection(const stepped_connection&) = delete;
  stepped_connection& operator=(const stepped_connection&) = delete;

  [[nodiscard]] runtime::connection_state state() const override { return attempt_->state; }
  [[nodiscard]] std::string failure() const override { return attempt_->failure; }
  [[nodiscard]] runtime::connection_loss loss() const override { return attempt_->loss; }
  [[nodiscard]] bool may_know_more() const override { return attempt_->may_know_more; }
  [[nodiscard]] bool is_serving() const override { return attempt_->not_serving.empty(); }
  [[nodiscard]] std::string why_not_serving() const override { return attempt_->not_serving; }
  [[nodiscard]] std::shared_ptr<void> take_reusable(bool is_handed_out) override {
    return is_handed_out ? attempt_->channel : nullptr;
  }
  [[nodiscard]] runtime::channel_ptr channel() const override {
    return attempt_->state == runtime::connection_state::connected ? attempt_->channel : nullptr;
  }

 private:
  std::shared_ptr<stepped_attempt> attempt_;
};

/// Connects when the test says so. Each of its channels is a text.
class stepped_connector final : public runtime::connector {
 public:
  [[nodiscard]] std::unique_ptr<runtime::connection> connect(const std::string& address,
                                                             runtime::connection_observer changed,
                                                             std::shared_ptr<void> reused) const override {
    if (std::exchange(throw_next_, false)) throw std::runtime_error("create_channel threw");
    attempts_.push_back(std::make_shared<stepped_attempt>());
    auto& begun = attempts_.back();
    begun->address = address;
    begun->reuses = reused != nullptr;
    begun->changed = std::move(changed);
    begun->channel =
        reused ? std::static_pointer_cast<::grpc::Channel>(reused)
               : fake_channel(std::make_shared<std::string>("channel of attempt " + std::to_string(attempts_.size())));

    return std::make_unique<stepped_connection>(begun);
  }

  [[nodiscard]] std::size_t attempts() const { return attempts_.size(); }
  [[nodiscard]] stepped_attempt& attempt(std::size_t index) const { return *attempts_.at(index); }
  [[nodiscard]] stepped_attempt& last() const { return *attempts_.back(); }
  void throw_next() { throw_next_ = true; }
  [[nodiscard]] std::size_t calls_in_flight() const override { return calls; }

  std::size_t calls = 0;  // in flight

 private:
  mutable std::vector<std::shared_ptr<stepped_attempt>> attempts_;
  mutable bool throw_next_ = false;
};

}  // namespace conn_grpc::test
