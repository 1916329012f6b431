// What modes have in common when they say what they did.
#ifndef BQENGINE_TOOLS_RUN_REPORT_H_
#define BQENGINE_TOOLS_RUN_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/statistics.h"
#include "run/options.h"
#include "run/runner.h"

namespace bqengine::run {

// Keys stay in the order in which they are added.
using Json = nlohmann::ordered_json;

// A report in both forms: lines for people, an object for machines.
class Report {
 public:
  // Starts with model, backend and threads.
  Report(const Options& options, const Runner& runner);
  explicit Report(const Options& options) : options_(options) {}

  // "label      text"
  void Line(std::string_view label, std::string_view text);
  // Text as it is; ends with a newline.
  void Text(std::string_view text) { text_ += text; }
  Json& json() { return json_; }

  // Times of runs of `batch` items each; `item` is what to call one.
  void Latency(const tools::Summary& summary, int64_t batch,
               std::string_view item);

  // Prints one of the two forms. Text is fitted to the terminal.
  void Print() const;

 private:
  const Options& options_;
  std::string text_;
  Json json_ = Json::object();
};

// If --profile was given: adds the layers' times to the report and writes the
// trace. kIo if that fails.
Status AddProfile(const Options& options, const Runner& runner, Report* report);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_REPORT_H_
