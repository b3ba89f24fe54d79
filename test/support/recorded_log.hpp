// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>

#include <memory>
#include <string>
#include <utility>

namespace conn_grpc::test {

/// A logger at debug level, and what it has written. The text lives as long as the logger:
/// a pool that still runs writes to it when its context is destroyed.
class recorded_log {
 public:
  explicit recorded_log(const std::string& pattern = "%v") : sink_(std::make_shared<text_sink>()) {
    logger_ = std::make_shared<spdlog::logger>("test", sink_);
    logger_->set_level(spdlog::level::debug);
    logger_->set_pattern(pattern);
  }

  [[nodiscard]] const std::shared_ptr<spdlog::logger>& logger() const { return logger_; }
  [[nodiscard]] const std::string& text() const { return sink_->text; }
  /// The text, which is forgotten.
  std::string take() { return std::exchange(sink_->text, {}); }

 private:
  struct text_sink final : spdlog::sinks::base_sink<spdlog::details::null_mutex> {
    std::string text;

   protected:
    void sink_it_(const spdlog::details::log_msg& message) override {
      spdlog::memory_buf_t line;
      formatter_->format(message, line);
      text.append(line.data(), line.size());
    }
    void flush_() override {}
  };

  std::shared_ptr<text_sink> sink_;
  std::shared_ptr<spdlog::logger> logger_;
};

}  // namespace conn_grpc::test
