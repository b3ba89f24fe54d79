// SPDX-License-Identifier: BSL-1.0
// Run-down protection: any number of threads use an object until it is closed, and
// `close()` waits for them. No mutex is held while they use it, so they may call the
// user's code.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>

namespace conn_grpc::runtime {

/// The count of the users, without the object. A user calls `enter()` and `leave()`, also
/// on two different threads. The rundown must exist until `leave()` and `close()` have
/// returned, so it must be shared.
///
/// *Thread safety*: all functions. Entering and leaving are one atomic operation each
/// while nothing is closed.
class rundown {
 public:
  rundown() = default;
  rundown(const rundown&) = delete;
  rundown& operator=(const rundown&) = delete;

  /// Returns false, and does nothing, once it is shut.
  [[nodiscard]] bool enter() noexcept {
    auto now = state_.load(std::memory_order_relaxed);
    do {
      if ((now & shut_bit) != 0) return false;
    } while (!state_.compare_exchange_weak(now, now + one_user));
    return true;
  }

  void leave() noexcept {
    auto now = state_.load();
    while (now != last_user_of_deferred && !state_.compare_exchange_weak(now, now - one_user)) {
    }
    if (now == last_user_of_deferred) {
      drained();
      state_.fetch_sub(one_user);
    }
    if ((now & shut_bit) != 0) state_.notify_all();
  }

  /// From now on no thread can enter. Does not wait.
  void shut() noexcept { state_.fetch_or(shut_bit); }
  [[nodiscard]] bool is_shut() const noexcept { return (state_.load() & shut_bit) != 0; }

  /// Shuts it, waits until the last user has left, and calls `drained()`. A second call
  /// waits until the first call has done so. On a thread that is itself a user it returns
  /// at once, and the last user that leaves calls `drained()`.
  void close() noexcept {
    const bool nested = is_used_by_this_thread();
    auto now = state_.load();
    std::uint32_t next = 0;
    do {
      if ((now & closing_bit) != 0) {
        if (!nested) wait_for_users(0);
        return;
      }
      next = nested ? now | shut_bit | closing_bit | deferred_bit : (now | shut_bit | closing_bit) + one_user;
    } while (!state_.compare_exchange_weak(now, next));
    if (nested) return;
    const scope inside(*this, std::adopt_lock);
    wait_for_users(1);
    drained();
  }

 protected:
  ~rundown() = default;

  /// Called once. The calling thread counts as a user meanwhile.
  virtual void drained() noexcept = 0;

  /// A scope in which this thread is a user, unless it could not enter. With
  /// std::adopt_lock the thread has entered before.
  class [[nodiscard]] scope {
   public:
    explicit scope(rundown& used) noexcept : scope(used, std::adopt_lock, used.enter()) {}
    scope(rundown& used, std::adopt_lock_t, bool entered = true) noexcept : used_(entered ? &used : nullptr) {
      innermost = this;
    }
    ~scope() {
      if (used_ != nullptr) used_->leave();
      innermost = outer_;
    }
    scope(const scope&) = delete;
    scope& operator=(const scope&) = delete;

    explicit operator bool() const noexcept { return used_ != nullptr; }

   private:
    friend class rundown;
    rundown* const used_;
    const scope* const outer_ = innermost;
  };

 private:
  static constexpr std::uint32_t shut_bit = 1;
  static constexpr std::uint32_t closing_bit = 2;   // close() has been called
  static constexpr std::uint32_t deferred_bit = 4;  // by a user: the last user that leaves calls drained()
  static constexpr std::uint32_t one_user = 8;
  static constexpr std::uint32_t last_user_of_deferred = one_user | deferred_bit | closing_bit | shut_bit;

  [[nodiscard]] bool is_used_by_this_thread() const noexcept {
    for (const scope* inside = innermost; inside != nullptr; inside = inside->outer_)
      if (inside->used_ == this) return true;
    return false;
  }

  void wait_for_users(std::uint32_t most) const noexcept {
    for (auto now = state_.load(); now / one_user > most; now = state_.load()) state_.wait(now);
  }

  [[gnu::tls_model("initial-exec")]] static inline constinit thread_local const scope* innermost = nullptr;

  std::atomic<std::uint32_t> state_{0};
};

/// An object that threads use until it is closed. `close()` destroys it.
template <class Object>
class closable final : public rundown {
 public:
  /// Constructs the object from the arguments.
  template <class... Args>
  explicit closable(Args&&... args) : object_(std::in_place, std::forward<Args>(args)...) {}

  /// Uses the object until the user is destroyed. Empty when the object was shut before.
  class [[nodiscard]] user : scope {
   public:
    explicit user(closable& used) noexcept : scope(used), used_(used) {}
    user(closable& used, std::adopt_lock_t entered) noexcept : scope(used, entered), used_(used) {}

    using scope::operator bool;
    // NOLINTBEGIN(bugprone-unchecked-optional-access): a user that is not empty keeps it
    Object& operator*() const noexcept { return *used_.object_; }
    Object* operator->() const noexcept { return &*used_.object_; }
    // NOLINTEND(bugprone-unchecked-optional-access)

   private:
    closable& used_;
  };

 private:
  void drained() noexcept override { object_.reset(); }

  std::optional<Object> object_;
};

}  // namespace conn_grpc::runtime
