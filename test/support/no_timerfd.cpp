// SPDX-License-Identifier: BSL-1.0
// For programs on virtual time. Asio sets a timerfd for each wait, although none of these
// programs waits, and that takes most of their time. Without a timerfd Asio passes the
// timeout to epoll instead.
#include <sys/timerfd.h>

#include <cerrno>

extern "C" int timerfd_create(int, int) noexcept {
  errno = ENOSYS;
  return -1;
}
