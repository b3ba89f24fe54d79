// SPDX-License-Identifier: BSL-1.0
// What all benchmarks need: medians and tables. Times on shared machines are noise, so every number is a median, and is
// set against a limit or a reference measured in the same run, right before or after it.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

namespace conn_grpc::bench {

/// What was measured, once per round. Not a number where the measurement failed.
using samples = std::vector<double>;

[[nodiscard]] inline double median(samples values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// For what happens now and then: of many short windows, most see nothing.
[[nodiscard]] inline double mean(const samples& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// The median of the ratios within each round: what slows a whole round down cancels out.
[[nodiscard]] inline double median_ratio(const samples& values, const samples& references) {
  samples ratios(std::min(values.size(), references.size()));
  for (std::size_t round = 0; round < ratios.size(); ++round) ratios[round] = values[round] / references[round];
  return median(std::move(ratios));
}

[[nodiscard]] inline std::string number(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  std::string text(32, '\0');
  const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  text.resize(static_cast<std::size_t>(std::max(length, 0)));
  return text;
}

/// For whoever draws it: appends a line "series, x, value", with tabs, to BENCH_DATA/<bench>.tsv. Nothing is written
/// when the environment does not name that folder, or for what is not a number.
inline void record(const std::string& bench, const std::string& series, double x, double value) {
  const char* folder = std::getenv("BENCH_DATA");
  if (folder == nullptr || !std::isfinite(value)) return;
  std::ofstream(std::string(folder) + "/" + bench + ".tsv", std::ios::app)
      << series << '\t' << x << '\t' << value << '\n';
}

/// Makes the compiler believe that somebody looks at the object, and that all memory may have changed.
template <class T>
void keep(const T& object) {
  asm volatile("" : : "r"(&object) : "memory");
}

/// Columns as wide as they need to be; the first to the left, numbers to the right.
class table {
 public:
  explicit table(std::vector<std::string> head) : rows_{std::move(head)} {}

  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }

  void print() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t column = 0; column < row.size(); ++column)
        widths[column] = std::max(widths[column], row[column].size());
    }
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t column = 0; column < row.size(); ++column) {
        const std::string padding(widths[column] - row[column].size(), ' ');
        line += column == 0 ? row[column] + padding : "  " + padding + row[column];
      }
      std::puts(line.c_str());
      if (&row == &rows_.front()) std::puts(std::string(line.size(), '-').c_str());
    }
    std::fflush(stdout);
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

/// Says what the numbers below must not be taken for.
inline void warn_unless_optimized() {
#ifndef __OPTIMIZE__
  std::puts("NOT OPTIMIZED: configure with --buildtype=release before believing any of this.");
#endif
}

}  // namespace conn_grpc::bench
