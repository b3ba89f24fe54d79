// SPDX-License-Identifier: BSL-1.0
// What happens to the backends in this demo, and what it cost the service.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "backend.hpp"
#include "greeting_service.hpp"
#include "rpc_counts.hpp"

namespace demo {

using backends = std::array<backend, 3>;

struct findings {
  using duration = std::chrono::steady_clock::duration;

  /// What a part of the story cost.
  struct part {
    rpc_counts rpcs{};
    duration left{};  ///< from the signal until the pool has withdrawn the last channel to the backend
    duration back{};  ///< until the last channel is back: since the part's begin, or SIGCONT, or the server's return
  };
  part restarts;
  part refresh;
  part frozen;
  part killed;
  part drain;               ///< `back` is when it was over
  std::size_t threads = 0;  ///< in this process
};

class story {
 public:
  /// @param turn_page is called when a chapter begins.
  story(greeting_service& service, backends& servers, std::function<void()> turn_page);

  /// Throws std::runtime_error if the service does not recover.
  asio::awaitable<findings> run();

  /// What happens now, in a line.
  [[nodiscard]] const std::string& chapter() const { return chapter_; }

 private:
  using time_point = std::chrono::steady_clock::time_point;

  asio::awaitable<void> begin();
  asio::awaitable<void> restart_one_after_the_other(findings::part& found);
  asio::awaitable<void> restart(backend& one);
  asio::awaitable<void> refresh(findings::part& found);
  asio::awaitable<void> freeze(backend& one, findings::part& found);
  asio::awaitable<void> kill(backend& one, findings::part& found);
  asio::awaitable<void> drain(findings::part& found);

  void next_chapter(std::string title);
  template <class Happened>
  asio::awaitable<void> wait_until(const std::string& what, const Happened& happened) const;
  asio::awaitable<void> wait_until_left(const backend& one) const;
  asio::awaitable<void> wait_until_connected(const backend& one) const;
  asio::awaitable<void> wait_until_back(const backend& one) const;
  [[nodiscard]] std::size_t connected_to(const backend& one) const;
  [[nodiscard]] const backend_record& record_of(const backend& one) const;
  [[nodiscard]] findings::duration since(time_point begin, const backend& one) const;

  greeting_service& service_;
  backends& servers_;
  std::function<void()> turn_page_;
  std::string chapter_;
};

}  // namespace demo
