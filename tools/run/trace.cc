#include <nlohmann/json.hpp>

#include "run/profile.h"
#include "run/provenance.h"

namespace bqengine::run {

std::string ChromeTrace(const std::vector<NodeProfile>& nodes,
                        const std::string& model_name) {
  using Json = nlohmann::ordered_json;
  constexpr int kProcess = 1, kThread = 1;
  const auto metadata = [&](const char* what, const std::string& name) {
    return Json{{"name", what},
                {"ph", "M"},
                {"pid", kProcess},
                {"tid", kThread},
                {"args", {{"name", name}}}};
  };
  Json events = Json::array();
  events.push_back(metadata("process_name", "bq-run " + model_name));
  events.push_back(metadata("thread_name", "layers"));
  for (const NodeProfile& node : nodes) {
    // "X" is a complete event; times are in microseconds.
    events.push_back({{"name", node.name},
                      {"cat", node.op},
                      {"ph", "X"},
                      {"ts", node.last_start_us},
                      {"dur", node.last_us},
                      {"pid", kProcess},
                      {"tid", kThread},
                      {"args",
                       {{"op", node.op},
                        {"backend", node.backend},
                        {"output", node.output_shape},
                        {"macs", node.macs}}}});
  }
  const Provenance here = ProvenanceNow();
  const Json trace = {{"displayTimeUnit", "ns"},
                      {"otherData",
                       {{"version", here.version},
                        {"commit", here.commit},
                        {"cpu", here.cpu},
                        {"date", here.date}}},
                      {"traceEvents", std::move(events)}};
  return trace.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace bqengine::run
