// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/lease.hpp>

#include "runtime/member.hpp"

#include <grpcpp/support/status.h>

namespace conn_grpc::detail {

void report_to(const lease_target& target, const grpc::Status& status) {
  const auto& of = runtime::member_of(target);
  const auto code = status.error_code();
  if (code == grpc::StatusCode::UNAVAILABLE || code == grpc::StatusCode::DEADLINE_EXCEEDED)
    of.count_failure(status.error_message());
  else
    of.end_row_of_failures();
}

}  // namespace conn_grpc::detail
