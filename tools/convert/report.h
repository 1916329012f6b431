// What a conversion made of a network, for people and for machines.
#ifndef BQENGINE_TOOLS_CONVERT_REPORT_H_
#define BQENGINE_TOOLS_CONVERT_REPORT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "bqengine/graph.h"
#include "bqengine/status.h"
#include "common/model_files.h"
#include "convert.h"

namespace bqengine::convert {

struct LayerReport {
  std::string name;
  std::string op;
  TensorInfo output;
  bool has_weights = false;
  DataType weights = DataType::kFloat32;
  int64_t weight_bytes = 0;
  std::string float_reason;  // why a product is not wholly binary; or empty
};

struct Report {
  tools::FileSize source;
  std::string producer;
  std::vector<tools::FileSize> files;  // written
  std::vector<GraphInput> inputs;
  std::vector<LayerReport> layers;
  std::vector<SignReport> signs;
  std::vector<std::string> notes;
};

// `graph` is what was written to `output_path`, after the engine's passes;
// `conversion` tells the reasons.
Result<Report> MakeReport(const SourceModel& source,
                          const std::string& source_path,
                          const Conversion& conversion, const Graph& graph,
                          const std::string& output_path);

std::string ReportText(const Report& report);
std::string ReportJson(const Report& report);

}  // namespace bqengine::convert

#endif  // BQENGINE_TOOLS_CONVERT_REPORT_H_
