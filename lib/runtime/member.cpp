// SPDX-License-Identifier: BSL-1.0
#include "runtime/member.hpp"

#include <conn_grpc/lease.hpp>

#include <string>

namespace conn_grpc {
namespace runtime {

bool member::take() const noexcept {
  if (ledger->max_in_flight == 0) {
    in_flight.fetch_add(1, std::memory_order_relaxed);
  } else {
    auto now = in_flight.load(std::memory_order_relaxed);
    do {
      if (now >= ledger->max_in_flight) return false;
    } while (!in_flight.compare_exchange_weak(now, now + 1, std::memory_order_relaxed));
  }
  identity->load->in_flight.fetch_add(1, std::memory_order_relaxed);
  identity->load->served.fetch_add(1, std::memory_order_relaxed);
  ledger->count_lease();
  return true;
}

void member::end_row_of_failures() const noexcept {
  if (failures_in_row.load(std::memory_order_relaxed) != 0) failures_in_row.store(0, std::memory_order_relaxed);
}

void member::count_failure(const std::string& words) const noexcept {
  const auto limit = ledger->suspect_after;
  if (limit == 0 || failures_in_row.fetch_add(1, std::memory_order_relaxed) + 1 != limit) return;
  end_row_of_failures();
  try {
    if (const auto pool = observer.lock())
      pool->connection_is_suspect(
          *this, std::to_string(limit) + " RPCs in a row have failed, the last with \"" + words + "\"");
  } catch (...) {  // no memory, or the pool's executor threw: the next row of failures asks again
  }
}

}  // namespace runtime

namespace detail {

void end_lease(const lease_target& target) noexcept {
  const auto& ended = runtime::member_of(target);
  ended.identity->load->in_flight.fetch_sub(1, std::memory_order_relaxed);
  const bool was_full = ended.in_flight.fetch_sub(1, std::memory_order_relaxed) == ended.ledger->max_in_flight;
  ended.ledger->in_flight.fetch_sub(1, std::memory_order_release);  // a drain that reads 0 comes after the lease
  if (!was_full) return;
  if (const auto pool = ended.observer.lock()) pool->channel_has_room();
}

const std::string& address_of(const lease_target& target) noexcept {
  return runtime::member_of(target).identity->address;
}

}  // namespace detail
}  // namespace conn_grpc
