// SPDX-License-Identifier: BSL-1.0
// The pools that run in an execution context, by name.
#pragma once

#include <boost/asio/execution_context.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace conn_grpc::runtime {

/// The names of one context. Thread-safe. It exists as long as its context, or as long as
/// an object holds it, whichever is longer. It keeps no owner of a name alive: when the
/// owner has been destroyed, the name is free.
///
/// The user of this class must know the type of the owners. It must be the same for all
/// of a context.
class name_registry {
 public:
  [[nodiscard]] static std::shared_ptr<name_registry> of(boost::asio::execution_context& context);

  /// The owner of this name in this context. Null when the name is free. Usually takes no
  /// lock: each thread remembers what it has found, until a name of any context gets
  /// another owner.
  [[nodiscard]] static std::shared_ptr<void> find(boost::asio::execution_context& context, std::string_view name);

  /// Returns false, and does nothing, when the name has an owner.
  [[nodiscard]] bool claim(std::string_view name, const std::shared_ptr<void>& owner);

  /// Frees all names of this owner, if it has any.
  void release(const void* owner) noexcept;

 private:
  struct entry {
    const void* owner = nullptr;
    std::weak_ptr<void> alive;
  };

  template <class T>
  friend class context_service;
  // Frees all names. Most owners release theirs, but not an owner whose first handler
  // never ran, and another context may get the address of this one.
  void context_shutdown() noexcept;

  [[nodiscard]] std::shared_ptr<void> find(std::string_view name) const;

  mutable std::mutex mutex_;
  std::map<std::string, entry, std::less<>> entries_;
};

}  // namespace conn_grpc::runtime
