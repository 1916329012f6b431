// What a quantization made of a network, for people and for machines.
#ifndef BQENGINE_TOOLS_QUANTIZE_REPORT_H_
#define BQENGINE_TOOLS_QUANTIZE_REPORT_H_

#include <string>
#include <vector>

#include "common/model_files.h"
#include "quantize/options.h"
#include "quantize/quantizer.h"
#include "quantize/source.h"

namespace bqengine::ptq {

struct Report {
  const Options& options;
  const Source& source;
  const Quantization& quantization;
  int64_t images = 0;                  // that calibrated; 0: none
  std::vector<tools::FileSize> files;  // written
};

std::string ReportText(const Report& report);
std::string ReportJson(const Report& report);

}  // namespace bqengine::ptq

#endif  // BQENGINE_TOOLS_QUANTIZE_REPORT_H_
