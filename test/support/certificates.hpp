// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace conn_grpc::test {

/// Makes certificates with the openssl command, in a temporary folder that goes with this object.
class certificates {
 public:
  struct options {
    std::string ca = "ca";
    std::string ip = "127.0.0.1";  ///< the only subject alternative name
    bool expired = false;
  };

  /// With a CA "ca". Throws std::runtime_error with what openssl said.
  certificates();
  ~certificates();
  certificates(const certificates&) = delete;
  certificates& operator=(const certificates&) = delete;

  /// Another CA: name.pem, name.key.
  void add_ca(const std::string& name);

  /// name.pem, name.key; the name is the common name, too.
  void issue(const std::string& name, const options& how = {"ca", "127.0.0.1", false}) const;

  [[nodiscard]] std::filesystem::path chain(const std::string& name) const { return folder_ / (name + ".pem"); }
  [[nodiscard]] std::filesystem::path key(const std::string& name) const { return folder_ / (name + ".key"); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }

 private:
  void openssl(std::vector<std::string> arguments) const;

  std::filesystem::path folder_;
};

}  // namespace conn_grpc::test
