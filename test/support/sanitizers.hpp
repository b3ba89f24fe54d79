// SPDX-License-Identifier: BSL-1.0
#pragma once

// g++ 12 and clang 19 say in different ways that AddressSanitizer is on.
#if defined(__SANITIZE_ADDRESS__)
#define CONN_GRPC_TEST_ADDRESS_SANITIZER
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CONN_GRPC_TEST_ADDRESS_SANITIZER
#endif
#endif
