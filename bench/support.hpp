// SPDX-License-Identifier: BSL-1.0
// What all benchmarks need: medians and tables. Times on shared machines vary, so every
// number is a median. It is compared with a limit or a reference that is measured in the
// same run, right before or after it.
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

/// The median of the values that are numbers. Not a number when there are none.
[[nodiscard]] inline double median(samples values) {
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return std::numeric_limits<double>::quiet_NaN();
  std::ranges::sort(values);
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// The value that stands for many rounds, and how far the rounds scatter, if that is
/// known.
struct typical {
  double value = std::numeric_limits<double>::quiet_NaN();
  double spread = std::numeric_limits<double>::quiet_NaN();  // half of the rounds are no farther from the value
};

[[nodiscard]] inline typical typical_of(samples values) {
  typical of{.value = median(values)};
  if (values.size() < 3) return of;
  for (double& value : values) value = std::abs(value - of.value);
  of.spread = median(std::move(values));
  return of;
}

/// For what happens now and then: most of many short windows see nothing of it.
[[nodiscard]] inline double mean(const samples& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

/// Compares within each round, so that what slows a whole round down cancels out.
[[nodiscard]] inline typical typical_ratio(const samples& values, const samples& references) {
  samples ratios(std::min(values.size(), references.size()));
  for (std::size_t round = 0; round < ratios.size(); ++round) ratios[round] = values[round] / references[round];
  return typical_of(std::move(ratios));
}

[[nodiscard]] inline std::string number(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  std::string text(32, '\0');
  const int length = std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  text.resize(static_cast<std::size_t>(std::max(length, 0)));
  return text;
}
[[nodiscard]] inline std::string number(typical of, int digits) { return number(of.value, digits); }

/// For the report: appends a line "series, x, value, spread", with tabs, to
/// BENCH_DATA/<bench>.tsv. The spread is left out when there is none. Writes nothing when
/// the environment does not name that folder, or for a value that is not a number.
inline void record(const std::string& bench, const std::string& series, double x, typical of) {
  const char* folder = std::getenv("BENCH_DATA");
  if (folder == nullptr || !std::isfinite(of.value)) return;
  std::ofstream line(std::string(folder) + "/" + bench + ".tsv", std::ios::app);
  line << series << '\t' << x << '\t' << of.value;
  if (std::isfinite(of.spread)) line << '\t' << of.spread;
  line << '\n';
}
inline void record(const std::string& bench, const std::string& series, double x, double value) {
  record(bench, series, x, typical{.value = value});
}

/// Makes the compiler assume that the object is read, and that all memory may have
/// changed.
template <class T>
void keep(const T& object) {
  asm volatile("" : : "r"(&object) : "memory");
}

/// Columns are as wide as they need to be. The first is aligned to the left, numbers to
/// the right.
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

/// Warns that the numbers are those of an unoptimised build.
inline void warn_unless_optimized() {
#ifndef __OPTIMIZE__
  std::puts("NOT OPTIMIZED: configure with --buildtype=release before believing any of this.");
#endif
}

}  // namespace conn_grpc::bench
