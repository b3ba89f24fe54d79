// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <condition_variable>
#include <mutex>
#include <string>
#include <vector>

namespace conn_grpc::test {

/// A host name whose IPv4 addresses the test decides. This program has a getaddrinfo of
/// its own, which answers this name, and leaves all others to the system. Thread-safe.
class scripted_name {
 public:
  /// @param name no other scripted name may have it at the same time.
  scripted_name(std::string name, std::vector<std::string> addresses);
  /// Waits for look-ups that are under way.
  ~scripted_name();
  scripted_name(const scripted_name&) = delete;
  scripted_name& operator=(const scripted_name&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  /// Without addresses, look-ups fail with EAI_AGAIN.
  void set(std::vector<std::string> addresses);
  /// From now on look-ups do not end, until `let_go()`.
  void hang();
  void let_go();
  [[nodiscard]] int look_ups() const;
  /// Returns when a look-up hangs.
  void wait_until_it_hangs();

  /// The addresses. Called by getaddrinfo.
  [[nodiscard]] std::vector<std::string> look_up();

 private:
  const std::string name_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::string> addresses_;
  bool hangs_ = false;
  int look_ups_ = 0;
  int under_way_ = 0;
};

}  // namespace conn_grpc::test
