// SPDX-License-Identifier: BSL-1.0
#include "canvas.hpp"

namespace demo {
namespace {

constexpr std::string_view escape_of(style s) {
  switch (s) {
    case style::plain:
      return "";
    case style::dim:
      return "\x1b[2m";
    case style::bold:
      return "\x1b[1m";
    case style::green:
      return "\x1b[32m";
    case style::yellow:
      return "\x1b[33m";
    case style::red:
      return "\x1b[31m";
    case style::cyan:
      return "\x1b[36m";
  }
  return "";
}

constexpr bool continues_a_character(char c) { return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U; }

constexpr bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20U || c == 0x7F; }

}  // namespace

canvas& canvas::put(std::string_view text, style with) {
  if (row_ >= rows_) return *this;
  const bool styled = coloured_ && with != style::plain;
  if (styled) text_ += escape_of(with);
  for (const char c : text) {
    if (!continues_a_character(c) && ++column_ > columns_) break;
    text_ += is_control(c) ? ' ' : c;
  }
  if (styled) text_ += "\x1b[m";
  return *this;
}

canvas& canvas::at(std::size_t column) { return column > column_ ? put(std::string(column - column_, ' ')) : *this; }

void canvas::end_line() {
  if (row_ >= rows_) return;
  column_ = 0;
  text_ += "\x1b[K";
  if (++row_ < rows_) text_ += '\n';
}

}  // namespace demo
