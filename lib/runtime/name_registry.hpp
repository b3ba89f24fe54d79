// SPDX-License-Identifier: BSL-1.0
// Who is running in an execution context, by name.
#pragma once

#include <boost/asio/execution_context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace conn_grpc::runtime {

/// The names of one context. Thread-safe. Lives as long as its context or who holds it, whichever is longer. It keeps
/// nobody alive: a name whose owner is gone is free.
///
/// What the owners are is for the user of this class to know: it must be the same type for all of a context.
class name_registry {
 public:
  [[nodiscard]] static std::shared_ptr<name_registry> of(boost::asio::execution_context& context);

  /// Who has this name in this context; null when nobody has. Usually without a lock: each thread remembers what it
  /// found until any name of any context changes hands.
  [[nodiscard]] static std::shared_ptr<void> find(boost::asio::execution_context& context, std::string_view name);

  /// False, and nothing done, when the name is somebody's.
  [[nodiscard]] bool claim(std::string_view name, const std::shared_ptr<void>& owner);

  /// Frees all names of this owner. No matter if it has none.
  void release(const void* owner) noexcept;

 private:
  struct entry {
    const void* owner = nullptr;
    std::weak_ptr<void> alive;
  };

  template <class T>
  friend class context_service;
  // Most names end with their owners, but not that of one whose first handler never ran; and another context may have
  // the address of this one.
  void context_shutdown() noexcept;

  [[nodiscard]] std::shared_ptr<void> find(std::string_view name) const;

  mutable std::mutex mutex_;
  std::map<std::string, entry, std::less<>> entries_;
};

}  // namespace conn_grpc::runtime
