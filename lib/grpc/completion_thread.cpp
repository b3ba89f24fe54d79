// SPDX-License-Identifier: BSL-1.0
#include "grpc/completion_thread.hpp"

#include "grpc/grpc_compat.hpp"
#include "grpc/grpc_time.hpp"
#include "runtime/quiet_thread.hpp"

#include <dlfcn.h>
#include <grpc/grpc.h>
#include <grpc/support/time.h>
#include <grpcpp/alarm.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <boost/asio/system_executor.hpp>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace conn_grpc::detail {
namespace {

using namespace std::chrono_literals;

/// gRPC aborts the process when it finds no file descriptor while it initialises itself.
/// Measured with 1.51: it needs four, and more to connect.
void check_descriptors() {
  std::array<int, 16> taken{};
  std::size_t count = 0;
  int error = 0;
  for (; count < taken.size() && error == 0; ++count) {
    taken[count] = ::eventfd(0, EFD_CLOEXEC);
    if (taken[count] < 0) error = errno;
  }
  for (std::size_t i = 0; i < count; ++i)
    if (taken[i] >= 0) ::close(taken[i]);
  if (error != 0)
    throw completion_thread::unavailable("gRPC cannot be started: " + std::generic_category().message(error));
}

/// Code that a thread runs must stay mapped. OpenSSL must, too, and may be linked into the same
/// object. The shared library is linked with -z nodelete. The static library may be part of a
/// plugin.
void keep_mapped() {
  Dl_info info{};
  if (::dladdr(reinterpret_cast<void*>(&keep_mapped), &info) != 0)
    (void)::dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/// When the process exits, OpenSSL destroys what its functions need, while other threads may
/// call them: gRPC's threads make TLS handshakes, and the library's threads examine certificates.
/// After this call OpenSSL destroys nothing. Only the first call of OpenSSL can set this. Static
/// objects of the program may use OpenSSL, so the priority is the highest that programs may use.
[[gnu::constructor(101)]] void keep_openssl_at_exit() {
  keep_mapped();
  ::OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
}

grpc_completion_queue* new_queue_without_pollers() {
  const grpc_completion_queue_attributes attributes{GRPC_CQ_CURRENT_VERSION, GRPC_CQ_NEXT, GRPC_CQ_NON_POLLING,
                                                    nullptr};
  return ::grpc_completion_queue_create(::grpc_completion_queue_factory_lookup(&attributes), &attributes, nullptr);
}

class delayed_call final : public pending_completion {
 public:
  explicit delayed_call(std::function<void()> called) : called_(std::move(called)) {}

  void set(std::chrono::milliseconds delay, ::grpc::CompletionQueue* queue, void* tag) {
    alarm_.Set(queue, after(delay), tag);
  }

  void complete(bool) noexcept override { called_(); }

 private:
  std::function<void()> called_;
  ::grpc::Alarm alarm_;
};

}  // namespace

grpc_session::grpc_session(std::shared_ptr<callback_loop> used)
    : loop(std::move(used)),
      insecure(::grpc::InsecureChannelCredentials()),
      keeper(loop ? nullptr : ::grpc::CreateChannel("unix:/dev/null/conn_grpc", insecure)),
      queue(loop ? ::grpc::CompletionQueue(new_queue_without_pollers()) : ::grpc::CompletionQueue()),
      has_thread(!loop) {}

void grpc_session::keep_callback_threads() {
  if (!keeper) return;
  struct cancelled_call {
    explicit cancelled_call(const std::shared_ptr<::grpc::Channel>& channel) : stub(channel) { context.TryCancel(); }
    ::grpc::GenericStub stub;
    ::grpc::ClientContext context;
    ::grpc::Slice bytes{"x"};  // an empty buffer aborts gRPC 1.51
    ::grpc::ByteBuffer request{&bytes, 1};
    ::grpc::ByteBuffer reply;
  };
  std::call_once(keeps_callback_threads, [this] {
    const auto call = std::make_shared<cancelled_call>(keeper);
    // The session may have ended before gRPC's thread releases the call, which then is the last
    // owner of the keeper.
    auto release = [released = call](auto&&) mutable {
      completion_thread::instance().call_off_grpc_threads([last = std::move(released)] {});
    };
    call->stub.UnaryCall(&call->context, "/conn_grpc/none", {}, &call->request, &call->reply, std::move(release));
  });
}

completion_thread& completion_thread::instance() {
  // Never deleted: a watch may be pending until the process ends.
  static auto* const thread = new completion_thread;
  static const struct exit_handler {
    exit_handler() = default;
    exit_handler(const exit_handler&) = delete;
    exit_handler& operator=(const exit_handler&) = delete;
    ~exit_handler() { thread->at_exit(); }
  } exit_handler;
  return *thread;
}

namespace {

// Constructed when the program starts. Before it constructs a pool, the program may make
// credentials, which start gRPC, and may fork.
[[maybe_unused]] const completion_thread& at_start = completion_thread::instance();

}  // namespace

completion_thread::completion_thread() {
  // gRPC may register fork handlers when it is first called. So a fork handler must not
  // be its first caller.
  (void)::grpc_is_initialized();
  ::pthread_atfork([] { instance().before_fork(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().after_fork_in_child(); });
}

std::shared_ptr<const grpc_session_use> completion_thread::use() {
  const std::lock_guard lock(mutex_);
  if (forked_after_)
    throw unavailable(std::string("the process was forked after ") + forked_after_ +
                      " was started, and gRPC does not work in the child: fork before the first async_run, or exec");
  if (auto shared = use_.lock()) return shared;
  auto running = current_.lock();
  const auto use = std::make_shared<const grpc_session_use>(running ? std::move(running) : begin());
  use_ = use;
  used_ = true;
  return use;
}

std::shared_ptr<grpc_session> completion_thread::begin() {
  check_descriptors();
  sessions_.push_back(std::make_unique<grpc_session>(callback_loop::current()));
  try {
    if (sessions_.back()->has_thread) {
      sessions_.back()->threads_of_grpc = threads_of_grpc();
      threads_of_grpc_ = sessions_.back()->threads_of_grpc;
      run_thread();
    } else {
      without_thread_.fetch_add(1);
    }
  } catch (const std::system_error& e) {
    sessions_.pop_back();
    throw unavailable("the completion thread cannot be started: " + e.code().message());
  } catch (...) {  // no memory: the next session would wait behind a session that no thread serves
    sessions_.pop_back();
    throw;
  }
  const std::shared_ptr<grpc_session> shared(sessions_.back().get(), [this](grpc_session* s) { end(*s); });
  current_ = shared;
  return shared;
}

std::shared_ptr<grpc_session> completion_thread::current() {
  const std::lock_guard lock(mutex_);
  return forked_after_ || exiting_ ? nullptr : current_.lock();
}

void completion_thread::run_thread() {
  if (running_) return;
  if (thread_.joinable()) thread_.join();  // it has left run()
  thread_ = runtime::quiet_thread([this] { run(); });
  running_ = true;
}

bool completion_thread::call_later(std::chrono::milliseconds delay, std::function<void()> called) {
  if (auto session = current(); session && session->loop) {
    auto& loop = *session->loop;
    auto call = [session = std::move(session), called = std::move(called)] { called(); };
    if (delay.count() == 0)
      loop.call(std::move(call));
    else
      loop.call_later(delay, std::move(call));
    return true;
  }
  auto call = std::make_unique<delayed_call>(std::move(called));
  auto& waits = *call;
  return submit(std::move(call), [&](::grpc::CompletionQueue* queue, void* tag) { waits.set(delay, queue, tag); });
}

void completion_thread::call_off_grpc_threads(std::function<void()> called) {
  if (const auto session = current())
    call_later({}, std::move(called));
  else
    boost::asio::post(boost::asio::system_executor(), std::move(called));
}

void completion_thread::run() {
  ::pthread_setname_np(::pthread_self(), "conn_grpc");
  std::unique_lock lock(mutex_);
  while (auto* const session = first_with_thread()) {
    lock.unlock();
    void* tag = nullptr;
    bool ok = false;
    while (session->queue.Next(&tag, &ok)) complete(tag, ok);
    lock.lock();
    auto ended = take(*session);
    lock.unlock();
    auto threads = std::move(ended->threads_of_grpc);
    ended.reset();
    if (threads) await_threads_of_grpc(std::move(threads));
    lock.lock();
  }
  running_ = false;
  ended_.notify_all();
}

/// Waits, on a thread of its own, until `threads` is the last pointer to gRPC's engine, for 500 ms
/// at most, and releases it. The engine's destructor then waits for gRPC's threads. gRPC itself
/// releases the engine without waiting. When the program still uses gRPC, the engine stays.
void completion_thread::await_threads_of_grpc(std::shared_ptr<void> threads) noexcept try {
  ++awaited_threads_;
  const std::shared_ptr<void> awaited(nullptr, [this](void*) { --awaited_threads_; });
  runtime::quiet_thread([this, awaited, last = std::move(threads)]() mutable {
    const auto end = std::chrono::steady_clock::now() + 500ms;
    while (last.use_count() > 1 && !exiting_ && std::chrono::steady_clock::now() < end)
      std::this_thread::sleep_for(1ms);
    last.reset();
  }).detach();
} catch (const std::exception&) {  // no thread, or no memory: gRPC ends later
}

void completion_thread::complete(void* tag, bool ok) {
  const std::unique_ptr<pending_completion> what(static_cast<pending_completion*>(tag));
  if (what->is_of_call()) pending_calls_.fetch_sub(1, std::memory_order_relaxed);
  what->complete(ok);
}

grpc_session* completion_thread::first_with_thread() const {
  const auto found = std::ranges::find_if(sessions_, [](const auto& session) { return session->has_thread; });
  return found == sessions_.end() ? nullptr : found->get();
}

std::unique_ptr<grpc_session> completion_thread::take(grpc_session& ended) {
  const auto found = std::ranges::find_if(sessions_, [&](const auto& session) { return session.get() == &ended; });
  auto taken = std::move(*found);
  sessions_.erase(found);
  return taken;
}

void completion_thread::poll_soon() {
  if (const auto session = current(); session && session->loop) poll_soon_in(*session->loop);
}

void completion_thread::poll_soon_in(callback_loop& loop) {
  loop.call([] {});  // the end of its turn polls
}

awaited_completions completion_thread::awaited_without_thread() const noexcept {
  if (without_thread_.load(std::memory_order_relaxed) == 0) return awaited_completions::none;
  return pending_calls_.load(std::memory_order_relaxed) == 0 ? awaited_completions::changes
                                                             : awaited_completions::changes_and_calls;
}

void completion_thread::poll() noexcept {
  if (without_thread_.load(std::memory_order_relaxed) == 0) return;
  // One thread at a time. A thread that comes meanwhile makes the other one poll again.
  if (polls_requested_.fetch_add(1) > 0) return;
  int seen = 1;
  do {
    seen = polls_requested_.load();
    poll_queues();
  } while (!polls_requested_.compare_exchange_strong(seen, 0));
  polls_requested_.notify_all();
}

void completion_thread::poll_queues() {
  std::vector<grpc_session*> polled;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& session : sessions_)
      if (!session->has_thread) polled.push_back(session.get());
  }
  for (auto* const session : polled) {
    void* tag = nullptr;
    bool ok = false;
    auto got = ::grpc::CompletionQueue::TIMEOUT;
    while ((got = session->queue.AsyncNext(&tag, &ok, gpr_inf_past(GPR_CLOCK_MONOTONIC))) ==
           ::grpc::CompletionQueue::GOT_EVENT)
      complete(tag, ok);
    if (got != ::grpc::CompletionQueue::SHUTDOWN) continue;
    std::unique_ptr<grpc_session> ended;
    const std::lock_guard lock(mutex_);
    if (session->has_thread) continue;  // the thread finds the same
    without_thread_.fetch_sub(1);
    ended = take(*session);
  }
}

void completion_thread::loop_has_ended() {
  const auto threads = without_thread_ > 0 ? threads_of_grpc() : nullptr;
  bool any = false;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& session : sessions_) {
      if (std::exchange(session->has_thread, true)) continue;
      session->threads_of_grpc = threads;
      threads_of_grpc_ = threads;
      any = true;
    }
    without_thread_ = 0;
  }
  // The thread may destroy a session, so no turn may be polling its queue any more.
  for (int polls = 0; (polls = polls_requested_.load()) > 0;) polls_requested_.wait(polls);
  const std::lock_guard lock(mutex_);
  if (any && !forked_after_) run_thread();
}

/// The session's last user has gone, and nothing is pending.
void completion_thread::end(grpc_session& ending) noexcept {
  if (forked_after_) return;  // the session is the parent's: this process does not drain it
  const auto loop = ending.loop;
  ending.queue.Shutdown();
  if (loop) poll_soon_in(*loop);
  if (!exiting_) return;
  // A static object was the last user. The thread should end before static objects of
  // gRPC are destroyed.
  std::unique_lock lock(mutex_);
  if (std::this_thread::get_id() != thread_.get_id()) join_if_ended(lock, 20ms);
}

void completion_thread::join_if_ended(std::unique_lock<std::mutex>& lock, std::chrono::milliseconds timeout) {
  if (ended_.wait_for(lock, timeout, [this] { return !running_; }) && thread_.joinable()) thread_.join();
}

void completion_thread::at_exit() {
  std::unique_lock lock(mutex_);
  exiting_ = true;
  if (!forked_after_ && current_.expired()) join_if_ended(lock, 20ms);
}

// A child that was forked while gRPC's engine was alive would use that engine, whose threads it
// does not have.
bool completion_thread::is_grpc_alive() const {
  return ::grpc_is_initialized() != 0 || awaited_threads_ > 0 || !threads_of_grpc_.expired();
}

void completion_thread::before_fork() {
  std::unique_lock lock(mutex_);
  if (used_ && use_.expired()) {
    // The last pool may have been destroyed a moment ago. Then what was pending completes,
    // the thread ends, and gRPC shuts down on threads of its own. That takes milliseconds,
    // unless the program uses gRPC itself, or has kept a channel.
    join_if_ended(lock, 1s);
    const auto end = std::chrono::steady_clock::now() + 500ms;
    while (!running_ && is_grpc_alive() && std::chrono::steady_clock::now() < end) std::this_thread::sleep_for(1ms);
    if (use_.expired()) used_ = false;  // the next fork does not wait again
  }
  in_use_at_fork_ = running_ ? "conn_grpc" : is_grpc_alive() ? "gRPC" : nullptr;
  lock.release();  // it stays locked until the fork is over
}

void completion_thread::after_fork_in_child() {
  if (!forked_after_) forked_after_ = in_use_at_fork_;
  mutex_.unlock();
}

}  // namespace conn_grpc::detail
