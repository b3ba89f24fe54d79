// SPDX-License-Identifier: BSL-1.0
// What happens to the service in this demo, and how long it took to get over it.
#pragma once

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>

#include "background_server.hpp"
#include "greeting_service.hpp"

namespace demo {

struct findings {
  std::chrono::steady_clock::duration loss_noticed{};  ///< from SIGKILL to the last connection withdrawn
  std::chrono::steady_clock::duration recovered{};     ///< from the server's return to the last connection made
  std::chrono::steady_clock::duration replaced{};      ///< from the first goodbye to the last new connection
  call_counts calls_replacing;                         ///< those that did not succeed while the server was replaced
  std::size_t threads = 0;                             ///< in this process
};

class story {
 public:
  /// @param turn_page is called when a chapter begins.
  story(greeting_service& service, background_server& server, std::function<void()> turn_page);

  /// Throws std::runtime_error if the service does not recover.
  asio::awaitable<findings> run();

  /// What happens now, in a line.
  [[nodiscard]] const std::string& chapter() const { return chapter_; }

 private:
  asio::awaitable<void> begin();
  asio::awaitable<void> kill_server(findings& found);
  asio::awaitable<void> start_server_again(findings& found);
  asio::awaitable<void> replace_server(findings& found);

  void next_chapter(std::string title);
  asio::awaitable<void> wait_until(const char* what, std::function<bool()> happened) const;
  asio::awaitable<void> wait_for_a_call() const;
  [[nodiscard]] bool all_connected() const;

  greeting_service& service_;
  background_server& server_;
  std::function<void()> turn_page_;
  std::string chapter_;
};

}  // namespace demo
