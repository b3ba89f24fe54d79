// SPDX-License-Identifier: BSL-1.0
// Which locks of Asio's a context has: its concurrency hint says so.
#pragma once

#include <boost/asio/execution_context.hpp>
#if __has_include(<boost/asio/config.hpp>)
#include <boost/asio/config.hpp>
#else
#include <boost/asio/detail/concurrency_hint.hpp>
#include <boost/asio/detail/scheduler.hpp>
#endif

namespace conn_grpc::runtime {

/// False for a context without locks, BOOST_ASIO_CONCURRENCY_HINT_UNSAFE. A wake-up that
/// another thread posts would be lost. Asio's resolver also has a thread of its own, and
/// fails there with operation_not_supported.
inline bool locks(boost::asio::execution_context& context) {
#if __has_include(<boost/asio/config.hpp>)
  return boost::asio::config(context).get("scheduler", "locking", true);
#else
  using boost::asio::detail::scheduler;
  return !boost::asio::has_service<scheduler>(context) ||
         BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(SCHEDULER,
                                                boost::asio::use_service<scheduler>(context).concurrency_hint());
#endif
}

/// False also for BOOST_ASIO_CONCURRENCY_HINT_UNSAFE_IO: then one thread may use the
/// context's sockets.
inline bool locks_io(boost::asio::execution_context& context) {
#if __has_include(<boost/asio/config.hpp>)
  const boost::asio::config config(context);
  return locks(context) && config.get("reactor", "io_locking", true) &&
         config.get("reactor", "registration_locking", true);
#else
  using boost::asio::detail::scheduler;
  if (!boost::asio::has_service<scheduler>(context)) return true;
  const int hint = boost::asio::use_service<scheduler>(context).concurrency_hint();
  return locks(context) && BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(REACTOR_IO, hint) &&
         BOOST_ASIO_CONCURRENCY_HINT_IS_LOCKING(REACTOR_REGISTRATION, hint);
#endif
}

}  // namespace conn_grpc::runtime
