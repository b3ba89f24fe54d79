// SPDX-License-Identifier: BSL-1.0
#include "support/certificates.hpp"

#include <spawn.h>
#include <sys/wait.h>

#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <stdexcept>

extern char** environ;

namespace conn_grpc::test {
namespace {

// `openssl ca` is the only command of Debian 12 (OpenSSL 3.0) and 13 (3.5) that sets both
// dates, so that a certificate can have expired.
constexpr const char* config = R"([req]
distinguished_name = any
[any]
commonName = supplied
[root]
basicConstraints = critical, CA:TRUE
[ca]
default_ca = here
[here]
database = index
unique_subject = no
rand_serial = yes
new_certs_dir = .
default_md = sha256
policy = any
copy_extensions = copy
)";

}  // namespace

certificates::certificates() {
  (void)folder_.write("config", config);
  (void)folder_.write("index", "");
  add_ca("ca");
}

void certificates::add_ca(const std::string& name) {
  openssl({"req", "-x509", "-config", "config", "-extensions", "root", "-newkey", "ec", "-pkeyopt",
           "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=" + name, "-days", "2", "-keyout", name + ".key",
           "-out", name + ".pem"});
}

void certificates::issue(const std::string& name, const options& how) const {
  openssl({"req", "-new", "-config", "config", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
           "-subj", "/CN=" + name, "-addext", "subjectAltName=" + (how.dns.empty() ? "IP:" + how.ip : "DNS:" + how.dns),
           "-keyout", name + ".key", "-out", name + ".csr"});
  openssl({"ca", "-config", "config", "-batch", "-notext", "-cert", how.ca + ".pem", "-keyfile", how.ca + ".key",
           "-startdate", "20200101000000Z", "-enddate", how.expired ? "20200102000000Z" : "20491231235959Z", "-in",
           name + ".csr", "-out", name + ".pem"});
}

void certificates::openssl(std::vector<std::string> arguments) const {
  const std::string log = folder_.path() / "log";
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addchdir_np(&actions, folder_.path().c_str());
  ::posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  arguments.insert(arguments.begin(), "openssl");
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = -1;
  int status = ::posix_spawnp(&pid, "openssl", &actions, nullptr, argv.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (status == 0) ::waitpid(pid, &status, 0);
  if (status == 0) return;
  std::ifstream said(log);
  throw std::runtime_error("openssl " + arguments[1] + ": " + std::string(std::istreambuf_iterator<char>(said), {}));
}

}  // namespace conn_grpc::test
