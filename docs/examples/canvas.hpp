// SPDX-License-Identifier: BSL-1.0
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace demo {

enum class style { plain, dim, bold, green, yellow, red, cyan };

/// One screenful of styled text as terminals want it, cut off at the right and at the bottom. A character is as wide as
/// any other: fit for Latin text and block graphics.
class canvas {
 public:
  canvas(std::size_t columns, std::size_t rows, bool coloured) : columns_(columns), rows_(rows), coloured_(coloured) {}

  canvas& put(std::string_view text, style with = style::plain);

  /// Goes on at this column, if the line is not longer already.
  canvas& at(std::size_t column);

  void end_line();

  [[nodiscard]] std::size_t columns() const { return columns_; }
  [[nodiscard]] std::size_t rows_left() const { return rows_ - row_; }

  /// Each line erases what was to its right, so that it can be drawn over an older text.
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::size_t columns_;
  std::size_t rows_;
  bool coloured_;
  std::size_t row_ = 0;
  std::size_t column_ = 0;
  std::string text_;
};

}  // namespace demo
