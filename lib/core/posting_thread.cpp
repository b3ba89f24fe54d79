// SPDX-License-Identifier: BSL-1.0
#include <conn_grpc/detail/completion.hpp>

namespace conn_grpc::detail {

constinit thread_local posting_thread this_posting_thread{};
constinit std::atomic<std::uint64_t> posting_threads{0};

}  // namespace conn_grpc::detail
