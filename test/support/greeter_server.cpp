// SPDX-License-Identifier: BSL-1.0
// A real gRPC server in a process of its own. It writes a line with its port to stdout
// once it listens. It shuts down when stdin ends, so that it never outlives the process
// that started it, and on SIGTERM. Each line of stdin is a command.
#include <fcntl.h>
#include <grpc/grpc_security_constants.h>
#include <grpcpp/alarm.h>
#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>

#include "greeter.grpc.pb.h"

namespace {

using conn_grpc::test::ChatMessage;
using conn_grpc::test::CollectReply;
using conn_grpc::test::CollectRequest;
using conn_grpc::test::CountdownReply;
using conn_grpc::test::CountdownRequest;
using conn_grpc::test::CountStreamsRequest;
using conn_grpc::test::Greeter;
using conn_grpc::test::HelloReply;
using conn_grpc::test::HelloRequest;
using conn_grpc::test::StreamCounts;
using conn_grpc::test::Then;

class delayed final : public grpc::ServerUnaryReactor {
 public:
  explicit delayed(std::chrono::milliseconds delay) {
    alarm_.Set(std::chrono::system_clock::now() + delay, [this](bool) { Finish(grpc::Status::OK); });
  }
  void OnDone() override { delete this; }

 private:
  grpc::Alarm alarm_;
};

std::atomic<int> open_streams{0};
std::atomic<int> cancelled_streams{0};

/// A reactor of a stream, which is counted.
template <class Reactor>
class stream : public Reactor {
 public:
  stream() { ++open_streams; }
  void OnCancel() final {
    ++cancelled_streams;
    end(grpc::Status::CANCELLED);
  }
  void OnDone() final {
    --open_streams;
    delete this;
  }

 protected:
  /// Called once more when the call is cancelled at its end.
  void end(const grpc::Status& status) {
    if (!ended_.exchange(true)) this->Finish(status);
  }
  void fail() { end({grpc::StatusCode::ABORTED, "enough"}); }

 private:
  std::atomic<bool> ended_{false};
};

class countdown final : public stream<grpc::ServerWriteReactor<CountdownReply>> {
 public:
  explicit countdown(const CountdownRequest& request) : number_(request.from()), then_(request.then()) {
    reply_.set_payload(std::string(static_cast<std::size_t>(request.size()), 'x'));
    next();
  }
  void OnWriteDone(bool ok) override {
    if (ok) next();
  }

 private:
  void next() {
    if (number_ == 0) {
      if (then_ == Then::FAIL) fail();
      if (then_ == Then::GO_ON) end(grpc::Status::OK);
      return;
    }
    reply_.set_number(number_--);
    StartWrite(&reply_);
  }

  int number_;
  const Then then_;
  CountdownReply reply_;
};

class collect final : public stream<grpc::ServerReadReactor<CollectRequest>> {
 public:
  explicit collect(CollectReply& reply) : reply_(reply) { StartRead(&request_); }
  void OnReadDone(bool ok) override {
    if (!ok) return end(grpc::Status::OK);
    reply_.set_count(reply_.count() + 1);
    reply_.set_sum(reply_.sum() + request_.number());
    if (request_.then() == Then::FAIL) fail();
    if (request_.then() == Then::GO_ON) StartRead(&request_);
  }

 private:
  CollectReply& reply_;
  CollectRequest request_;
};

class chat final : public stream<grpc::ServerBidiReactor<ChatMessage, ChatMessage>> {
 public:
  chat() { StartRead(&message_); }
  void OnReadDone(bool ok) override {
    if (!ok) return end(grpc::Status::OK);
    if (message_.then() != Then::HANG) StartWrite(&message_);
  }
  void OnWriteDone(bool) override {
    if (message_.then() == Then::FAIL) return fail();
    StartRead(&message_);
  }

 private:
  ChatMessage message_;
};

class greeter final : public Greeter::CallbackService {
 public:
  /// @param record a file that gets a line with the name of each greeting; several servers
  /// may share it. Empty: none.
  /// @param slower how many times as long as asked for a greeting takes.
  greeter(const std::string& record, int slower) : slower_(slower) {
    if (!record.empty()) record_.open(record, std::ios::app);
  }

 private:
  grpc::ServerUnaryReactor* SayHello(grpc::CallbackServerContext* context, const HelloRequest* request,
                                     HelloReply* reply) override {
    if (record_.is_open()) {
      const std::lock_guard lock(mutex_);
      record_ << request->name() + "\n" << std::flush;
    }
    reply->set_message("Hello " + request->name());
    reply->set_peer(context->peer());
    const auto authority = context->ExperimentalGetAuthority();
    reply->set_authority({authority.data(), authority.size()});
    for (const auto& name : context->auth_context()->FindPropertyValues(GRPC_X509_CN_PROPERTY_NAME))
      reply->set_client({name.data(), name.size()});
    if (request->delay_ms() > 0) return new delayed(slower_ * std::chrono::milliseconds(request->delay_ms()));
    auto* reactor = context->DefaultReactor();
    const auto& words = request->fail_with();
    reactor->Finish(words.empty() ? grpc::Status::OK : grpc::Status(grpc::StatusCode::UNAVAILABLE, words));
    return reactor;
  }
  grpc::ServerWriteReactor<CountdownReply>* Countdown(grpc::CallbackServerContext*,
                                                      const CountdownRequest* request) override {
    return new countdown(*request);
  }
  grpc::ServerReadReactor<CollectRequest>* Collect(grpc::CallbackServerContext*, CollectReply* reply) override {
    return new collect(*reply);
  }
  grpc::ServerBidiReactor<ChatMessage, ChatMessage>* Chat(grpc::CallbackServerContext*) override { return new chat; }
  grpc::ServerUnaryReactor* CountStreams(grpc::CallbackServerContext* context, const CountStreamsRequest*,
                                         StreamCounts* reply) override {
    reply->set_open(open_streams);
    reply->set_cancelled(cancelled_streams);
    auto* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  const int slower_;
  std::mutex mutex_;
  std::ofstream record_;
};

/// Answers the first RPC of a method that no other service has with UNAVAILABLE, and each
/// later one as a health service that serves. Without words it never answers.
class broken_health final : public grpc::CallbackGenericService {
 public:
  explicit broken_health(std::string words) : is_silent_(words.empty()), words_(std::move(words)) {}

  grpc::ServerGenericBidiReactor* CreateReactor(grpc::GenericCallbackServerContext*) override {
    return new reactor(is_silent_, std::exchange(words_, {}));
  }

 private:
  class reactor final : public grpc::ServerGenericBidiReactor {
   public:
    reactor(bool is_silent, const std::string& words) {
      if (!words.empty())
        Finish({grpc::StatusCode::UNAVAILABLE, words});
      else if (!is_silent)
        StartWrite(&serving_);
    }
    void OnCancel() override { Finish(grpc::Status::CANCELLED); }
    void OnDone() override { delete this; }

   private:
    const grpc::Slice bytes_{"\x08\x01"};
    const grpc::ByteBuffer serving_{&bytes_, 1};
  };

  const bool is_silent_;
  std::string words_;
};

constexpr const char* usage =
    "usage: greeter_server ADDRESS [--tls CHAIN KEY] [--client-ca ROOTS] [--max-connection-age MS]\n"
    "       [--max-concurrent-streams N] [--max-ping-strikes N] [--window BYTES]\n"
    "       [--health | --broken-health WORDS] [--record FILE] [--slower TIMES]\n"
    "  --tls                 serve TLS with these PEM files\n"
    "  --client-ca           only to clients with a certificate from there\n"
    "  --max-connection-age  close each connection, gracefully, when it is that old\n"
    "  --max-concurrent-streams  RPCs at once on each connection; others wait in the client\n"
    "  --max-ping-strikes    close a connection after more pings than that within five minutes\n"
    "  --window              of flow control: what a client may send that is not read\n"
    "  --health              with gRPC's health service\n"
    "  --broken-health       with one that fails the first RPC with UNAVAILABLE and these words; none: it is silent\n"
    "  --record              append the name of each greeting to this file\n"
    "  --slower              take so many times as long for a greeting as the client asks for\n"
    "commands: serving NAME, not-serving NAME (for the health service; no NAME is the whole server)\n";

struct options {
  std::string address{};
  std::string chain{};
  std::string key{};
  std::string client_ca{};
  int max_connection_age = 0;
  int max_concurrent_streams = 0;
  int max_ping_strikes = 0;
  int window = 0;
  bool has_health = false;
  std::optional<std::string> broken_health{};
  std::string record{};
  int slower = 1;
};

options parsed(std::span<char*> arguments) {
  const auto next = [&] {
    if (arguments.empty()) throw std::invalid_argument(usage);
    const std::string first = arguments.front();
    arguments = arguments.subspan(1);
    return first;
  };
  options result{.address = next()};
  while (!arguments.empty()) {
    const auto option = next();
    if (option == "--tls") {
      result.chain = next();
      result.key = next();
    } else if (option == "--client-ca") {
      result.client_ca = next();
    } else if (option == "--max-connection-age") {
      result.max_connection_age = std::stoi(next());
    } else if (option == "--max-concurrent-streams") {
      result.max_concurrent_streams = std::stoi(next());
    } else if (option == "--max-ping-strikes") {
      result.max_ping_strikes = std::stoi(next());
    } else if (option == "--window") {
      result.window = std::stoi(next());
    } else if (option == "--health") {
      result.has_health = true;
    } else if (option == "--broken-health") {
      result.broken_health = next();
    } else if (option == "--record") {
      result.record = next();
    } else if (option == "--slower") {
      result.slower = std::stoi(next());
    } else {
      throw std::invalid_argument(usage);
    }
  }
  return result;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("greeter_server: cannot read " + path + "\n");
  return {std::istreambuf_iterator<char>(file), {}};
}

std::shared_ptr<grpc::ServerCredentials> credentials(const options& o) {
  if (o.chain.empty()) return grpc::InsecureServerCredentials();
  grpc::SslServerCredentialsOptions tls(o.client_ca.empty()
                                            ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                                            : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  tls.pem_key_cert_pairs.push_back({text_of(o.key), text_of(o.chain)});
  if (!o.client_ca.empty()) tls.pem_root_certs = text_of(o.client_ca);
  return grpc::SslServerCredentials(tls);
}

/// Makes SIGTERM end stdin. The handler puts /dev/null in its place, so a later read
/// ends; a read under way ends with EINTR. Only the main thread may receive the signal,
/// because it reads stdin: construct this object before any other thread begins.
class sigterm_ends_stdin {
 public:
  sigterm_ends_stdin() {
    empty = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    struct sigaction action{};
    action.sa_handler = [](int) {
      const int error = errno;
      ::dup2(empty, STDIN_FILENO);
      errno = error;
    };
    ::sigaction(SIGTERM, &action, nullptr);
    mask(SIG_BLOCK);
  }

  /// From now on the signal is handled. One that has come before is handled now.
  void begin() { mask(SIG_UNBLOCK); }

 private:
  static void mask(int how) {
    sigset_t signals;
    ::sigemptyset(&signals);
    ::sigaddset(&signals, SIGTERM);
    ::pthread_sigmask(how, &signals, nullptr);
  }

  static inline int empty = -1;
};

/// Returns when stdin ends.
void obey(grpc::HealthCheckServiceInterface* health) {
  for (std::string line; std::getline(std::cin, line);) {
    const auto end = std::min(line.find(' '), line.size());
    const auto command = line.substr(0, end);
    const auto name = line.substr(std::min(end + 1, line.size()));
    if (!health || (command != "serving" && command != "not-serving")) throw std::invalid_argument(usage);
    health->SetServingStatus(name, command == "serving");
  }
}

void serve(const options& o) {
  sigterm_ends_stdin sigterm;
  greeter service(o.record, o.slower);
  broken_health broken(o.broken_health.value_or(""));
  grpc::EnableDefaultHealthCheckService(o.has_health);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(o.address, credentials(o), &port);
  if (o.max_connection_age > 0) builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, o.max_connection_age);
  if (o.max_concurrent_streams > 0)
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, o.max_concurrent_streams);
  if (o.max_ping_strikes > 0) builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, o.max_ping_strikes);
  if (o.window > 0) {
    builder.AddChannelArgument(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES, o.window);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);  // which would enlarge it
  }
  builder.RegisterService(&service);
  if (o.broken_health) builder.RegisterCallbackGenericService(&broken);
  const auto server = builder.BuildAndStart();
  if (!server) throw std::runtime_error("greeter_server: cannot listen on " + o.address + "\n");
  std::printf("%d\n", port);
  std::fflush(stdout);

  sigterm.begin();
  obey(server->GetHealthCheckService());
  server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
}

}  // namespace

int main(int argc, char** argv) {
  try {
    serve(parsed(std::span(argv, static_cast<std::size_t>(argc)).subspan(1)));
  } catch (const std::exception& e) {
    std::fputs(e.what(), stderr);
    return EXIT_FAILURE;
  }
}
