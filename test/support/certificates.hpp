// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "support/temporary_folder.hpp"

namespace conn_grpc::test {

/// Makes certificates with the openssl command, in a temporary folder that is removed
/// with this object.
class certificates {
 public:
  struct options {
    std::string ca = "ca";
    std::string ip = "127.0.0.1";  ///< the only subject alternative name, unless there is `dns`
    bool expired = false;
    std::string dns{};  ///< if it is not empty, the only subject alternative name
  };

  /// With a CA "ca". Throws std::runtime_error with the output of openssl.
  certificates();

  /// Adds another CA: name.pem, name.key.
  void add_ca(const std::string& name);

  /// Makes name.pem and name.key; the name is the common name, too.
  void issue(const std::string& name, const options& how = {"ca", "127.0.0.1", false, ""}) const;

  [[nodiscard]] std::filesystem::path chain(const std::string& name) const { return folder_.path() / (name + ".pem"); }
  [[nodiscard]] std::filesystem::path key(const std::string& name) const { return folder_.path() / (name + ".key"); }
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_.path(); }

 private:
  void openssl(std::vector<std::string> arguments) const;

  temporary_folder folder_;
};

}  // namespace conn_grpc::test
