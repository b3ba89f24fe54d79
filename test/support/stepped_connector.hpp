// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "runtime/connector.hpp"

namespace conn_grpc::test {

/// One attempt, and what the test makes of it.
struct stepped_attempt {
  runtime::connection_state state = runtime::connection_state::connecting;
  std::string failure;
  runtime::connection_loss loss;
  bool may_know_more = false;
  runtime::connection_observer<std::shared_ptr<std::string>> changed;
  std::shared_ptr<std::string> channel;
  bool given_up = false;

  void succeed() { step(runtime::connection_state::connected); }
  void lose(runtime::connection_loss why = {"closed by the peer"}) {
    loss = std::move(why);
    step(runtime::connection_state::lost);
  }
  void fail(std::string reason) {
    failure = std::move(reason);
    step(runtime::connection_state::failed);
  }

 private:
  void step(runtime::connection_state to) {
    state = to;
    changed(to == runtime::connection_state::lost ? channel : nullptr);
  }
};

class stepped_connection {
 public:
  explicit stepped_connection(std::shared_ptr<stepped_attempt> attempt) : attempt_(std::move(attempt)) {}
  ~stepped_connection() { attempt_->given_up = true; }
  stepped_connection(const stepped_connection&) = delete;
  stepped_connection& operator=(const stepped_connection&) = delete;

  [[nodiscard]] runtime::connection_state state() const { return attempt_->state; }
  [[nodiscard]] std::string failure() const { return attempt_->failure; }
  [[nodiscard]] runtime::connection_loss loss() const { return attempt_->loss; }
  [[nodiscard]] bool may_know_more() const { return attempt_->may_know_more; }
  [[nodiscard]] std::shared_ptr<std::string> channel() const {
    return attempt_->state == runtime::connection_state::connected ? attempt_->channel : nullptr;
  }

 private:
  std::shared_ptr<stepped_attempt> attempt_;
};

/// Connects when the test says so. Copies share their attempts.
class stepped_connector {
 public:
  using channel_type = std::shared_ptr<std::string>;
  using connection_type = stepped_connection;

  [[nodiscard]] std::unique_ptr<stepped_connection> connect(runtime::connection_observer<channel_type> changed,
                                                            std::unique_ptr<stepped_connection>) const {
    if (std::exchange(world_->throw_next, false)) throw std::runtime_error("create_channel threw");
    auto& attempts = world_->attempts;
    attempts.push_back(std::make_shared<stepped_attempt>());
    attempts.back()->changed = std::move(changed);
    attempts.back()->channel = std::make_shared<std::string>("channel of attempt " + std::to_string(attempts.size()));
    return std::make_unique<stepped_connection>(attempts.back());
  }

  [[nodiscard]] static std::unique_ptr<stepped_connection> reusable(std::unique_ptr<stepped_connection>) { return {}; }

  [[nodiscard]] std::size_t attempts() const { return world_->attempts.size(); }
  [[nodiscard]] stepped_attempt& attempt(std::size_t index) const { return *world_->attempts.at(index); }
  [[nodiscard]] stepped_attempt& last() const { return *world_->attempts.back(); }
  void throw_next() { world_->throw_next = true; }

 private:
  struct world {
    std::vector<std::shared_ptr<stepped_attempt>> attempts;
    bool throw_next = false;
  };
  std::shared_ptr<world> world_ = std::make_shared<world>();
};

static_assert(runtime::connector<stepped_connector>);

}  // namespace conn_grpc::test
