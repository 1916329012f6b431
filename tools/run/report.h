// What modes have in common when they say what they did.
#ifndef BQENGINE_TOOLS_RUN_REPORT_H_
#define BQENGINE_TOOLS_RUN_REPORT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "run/options.h"
#include "run/profile.h"
#include "run/runner.h"

namespace bqengine::run {

// Keys stay in the order in which they are added.
using Json = nlohmann::ordered_json;

// A report in both forms: lines for people, an object for machines.
class Report {
 public:
  // JSON starts with version, commit, CPU and date.
  explicit Report(const Options& options);
  // Both go on with model, backend and threads.
  Report(const Options& options, const Session& session);

  // "label      text"
  void Line(std::string_view label, std::string_view text);
  // Text as it is; ends with a newline.
  void Text(std::string_view text) { text_ += text; }
  Json& json() { return json_; }

  // Time and CPU time of the runner's runs with a full batch since the warm-up,
  // and whether others used the machine meanwhile; `item` is what to call one
  // of the batch. Of few runs the text has no percentiles; with `cold`, if
  // nothing ran before them, it tells the first from the rest.
  void Latency(const Runner& runner, std::string_view item, bool cold);

  // What the median of these runs makes in a second, as "speed"; `key` in JSON.
  void Speed(const Runner& runner, const std::string& key,
             std::string_view unit);

  // A table of the layers; "layers" in JSON.
  void Layers(const std::vector<LayerTime>& layers);

  // Prints one of the two forms. Text is fitted to the terminal.
  void Print() const;

 private:
  const Options& options_;
  std::string text_;
  Json json_ = Json::object();
};

// If --profile was given: adds the layers' times to the report and writes the
// trace of the run nearest to the median. kIo if that fails.
Status AddProfile(const Options& options, const Runner& runner, Report* report);

}  // namespace bqengine::run

#endif  // BQENGINE_TOOLS_RUN_REPORT_H_
