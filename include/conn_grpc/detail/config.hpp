// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <boost/asio/detail/config.hpp>
#include <boost/version.hpp>

// All symbols are hidden, except those with this attribute. It has no effect in the
// static library.
#define CONN_GRPC_API [[gnu::visibility("default")]]

#if defined(BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT)
#error "conn_grpc needs Asio's standard executors: compile without BOOST_ASIO_USE_TS_EXECUTOR_AS_DEFAULT"
#endif

// These macros decide the layout of Asio's objects, or how inline functions of a
// translation unit treat objects of another one. Asio's objects cross the boundary of the
// library, so both sides must agree.
//
// Three kinds of macros are left out. Some only add or remove declarations
// (NO_DEPRECATED, NO_TS_EXECUTORS, HAS_IO_URING for files alone). Some change types that
// do not cross (ENABLE_BUFFER_DEBUGGING, STRAND_IMPLEMENTATIONS). With others the library
// does not compile (NO_EXCEPTIONS, DISABLE_CO_AWAIT).
#if defined(BOOST_ASIO_HAS_IO_URING_AS_DEFAULT)  // the reactor: waits for sockets and timers
#define CONN_GRPC_REACTOR "_io_uring"
#elif defined(BOOST_ASIO_HAS_EPOLL)
#define CONN_GRPC_REACTOR "_epoll"
#elif defined(BOOST_ASIO_HAS_KQUEUE)
#define CONN_GRPC_REACTOR "_kqueue"
#elif defined(BOOST_ASIO_HAS_DEV_POLL)
#define CONN_GRPC_REACTOR "_dev_poll"
#else
#define CONN_GRPC_REACTOR "_select"
#endif
#if defined(BOOST_ASIO_HAS_THREADS)  // whether mutexes lock
#define CONN_GRPC_THREADS "_threads"
#else
#define CONN_GRPC_THREADS "_no_threads"
#endif
#if defined(BOOST_ASIO_CUSTOM_HANDLER_TRACKING)  // a base class of each handler that waits
#define CONN_GRPC_TRACKING "_custom_handler_tracking"
#elif defined(BOOST_ASIO_ENABLE_HANDLER_TRACKING)
#define CONN_GRPC_TRACKING "_handler_tracking"
#else
#define CONN_GRPC_TRACKING ""
#endif
#if defined(BOOST_ASIO_HAS_EVENTFD)  // how a waiting thread is woken up
#define CONN_GRPC_EVENTFD ""
#else
#define CONN_GRPC_EVENTFD "_no_eventfd"
#endif
#if defined(BOOST_ASIO_HAS_TIMERFD) || !defined(BOOST_ASIO_HAS_EPOLL)
#define CONN_GRPC_TIMERFD ""
#else
#define CONN_GRPC_TIMERFD "_no_timerfd"
#endif
#if defined(BOOST_ASIO_HAS_THREAD_KEYWORD_EXTENSION)  // how a thread finds its own state
#define CONN_GRPC_THREAD_KEYWORD ""
#else
#define CONN_GRPC_THREAD_KEYWORD "_no_thread_keyword"
#endif
#if defined(BOOST_ASIO_DISABLE_SMALL_BLOCK_RECYCLING) || defined(BOOST_ASIO_DISABLE_HANDLER_HOOKS)
#define CONN_GRPC_RECYCLING "_no_recycling"  // each side frees memory of the other
#else
#define CONN_GRPC_RECYCLING ""
#endif
// Asio's own headers define this macro as 2.
#if defined(BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE) && BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE != 2
#define CONN_GRPC_TEXT_OF(value) #value
#define CONN_GRPC_TEXT(value) CONN_GRPC_TEXT_OF(value)
#define CONN_GRPC_CACHE_SIZE "_recycling_cache_size_" CONN_GRPC_TEXT(BOOST_ASIO_RECYCLING_ALLOCATOR_CACHE_SIZE)
#else
#define CONN_GRPC_CACHE_SIZE ""
#endif
#if defined(BOOST_ASIO_NO_TYPEID)  // how a context finds its services
#define CONN_GRPC_TYPEID "_no_typeid"
#else
#define CONN_GRPC_TYPEID ""
#endif

namespace boost::asio {}

namespace conn_grpc {
namespace asio = boost::asio;

namespace detail {

/// A symbol of the library that is named after the configuration it was built with. Each
/// translation unit that includes a header of the library refers to the symbol of its own
/// configuration. So a program that was compiled with another configuration does not
/// link.
CONN_GRPC_API extern const char built_with __asm__(
    "conn_grpc_built_with_boost_" BOOST_LIB_VERSION
    "_asio" CONN_GRPC_REACTOR CONN_GRPC_THREADS CONN_GRPC_TRACKING CONN_GRPC_EVENTFD CONN_GRPC_TIMERFD
        CONN_GRPC_THREAD_KEYWORD CONN_GRPC_RECYCLING CONN_GRPC_CACHE_SIZE CONN_GRPC_TYPEID);

// A variable for each translation unit. Of an inline variable, the linker would check
// only the first definition.
[[gnu::used, gnu::retain]] static constexpr const char* this_unit_needs = &built_with;

}  // namespace detail
}  // namespace conn_grpc

#undef CONN_GRPC_REACTOR
#undef CONN_GRPC_THREADS
#undef CONN_GRPC_TRACKING
#undef CONN_GRPC_EVENTFD
#undef CONN_GRPC_TIMERFD
#undef CONN_GRPC_THREAD_KEYWORD
#undef CONN_GRPC_RECYCLING
#undef CONN_GRPC_TEXT_OF
#undef CONN_GRPC_TEXT
#undef CONN_GRPC_CACHE_SIZE
#undef CONN_GRPC_TYPEID
