// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/config.hpp>

namespace conn_grpc::detail {

const char built_with = 1;

}  // namespace conn_grpc::detail
