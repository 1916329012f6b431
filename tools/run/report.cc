#include "run/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <span>

#include "bqengine/registry.h"
#include "common/command_line.h"
#include "common/file.h"
#include "common/memory.h"
#include "common/statistics.h"
#include "common/terminal.h"
#include "run/interference.h"
#include "run/provenance.h"

namespace bqengine::run {
namespace {

constexpr int kUnlimited = 1 << 20;  // columns of what is no terminal

int OutputWidth() {
  return std::max(tools::TerminalWidth(STDOUT_FILENO, kUnlimited), 20);
}

std::string Description(const std::string& backend) {
  const std::vector<BackendInfo> backends = tools::OrThrow(ListBackends());
  for (const BackendInfo& info : backends) {
    if (info.name == backend) return info.description;
  }
  return "";
}

// "45.1 to 47.2 us"
std::string RangeText(std::span<const double> us) {
  const auto [least, most] = std::minmax_element(us.begin(), us.end());
  const std::string low = tools::FormatMicroseconds(*least);
  const std::string high = tools::FormatMicroseconds(*most);
  return low == high ? low : low + " to " + high;
}

// Percentiles say something of many runs; of a few, the runs do.
std::string LatencyText(const std::vector<double>& us,
                        const tools::Summary& summary, bool cold) {
  constexpr size_t kMany = 20;
  const std::string median = tools::FormatMicroseconds(summary.median);
  if (us.size() >= kMany) {
    return fmt::format("min {}, median {}, p90 {}, p99 {}",
                       tools::FormatMicroseconds(summary.least), median,
                       tools::FormatMicroseconds(summary.p90),
                       tools::FormatMicroseconds(summary.p99));
  }
  if (!cold) return fmt::format("median {}, {}", median, RangeText(us));
  std::string text = tools::FormatMicroseconds(us[0]) + " (first run)";
  if (us.size() > 1) text += ", then " + RangeText(std::span(us).subspan(1));
  return text;
}

Json NumberOrNull(const std::optional<double>& number) {
  return number ? Json(*number) : Json(nullptr);
}

// Names from files need not be valid UTF-8.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Report::Report(const Options& options) : options_(options) {
  const Provenance here = ProvenanceNow();
  json_["version"] = here.version;
  json_["commit"] = here.commit;
  json_["cpu"] = here.cpu;
  json_["date"] = here.date;
}

Report::Report(const Options& options, const Session& session)
    : Report(options) {
  const std::string& name = session.model().graph().name;
  const std::string& backend = session.backend();
  const int threads = session.threads();
  Line("model", name.empty() ? options.model
                             : fmt::format("{} ({})", name, options.model));
  Line("backend", fmt::format("{} ({})", backend, Description(backend)));
  Line("threads", std::to_string(threads));
  json_["model"] = options.model;
  json_["name"] = name;
  json_["backend"] = backend;
  json_["threads"] = threads;
  json_["threads_requested"] = options.threads;  // 0: one per core
}

void Report::Line(std::string_view label, std::string_view text) {
  text_ += fmt::format("{:<10} {}\n", tools::Printable(label),
                       tools::Printable(text));
}

void Report::Latency(const Runner& runner, std::string_view item, bool cold) {
  const int64_t batch = runner.max_batch();
  const tools::Summary summary = tools::Summarize(runner.run_us());
  const std::string per = batch == 1
                              ? fmt::format(" per {}", item)
                              : fmt::format(" per run of {} {}s", batch, item);
  Line("latency", LatencyText(runner.run_us(), summary, cold) + per);
  Line("CPU time", "mean " + tools::FormatMicroseconds(runner.cpu_us()) + per);
  json_["batch"] = batch;
  json_["latency_us"] = {{"min", summary.least},
                         {"median", summary.median},
                         {"p90", summary.p90},
                         {"p99", summary.p99}};
  json_["cpu_us"] = runner.cpu_us();

  const Interference others = runner.interference();
  json_["disturbed"] = others.disturbed();
  json_["waited_share"] = NumberOrNull(others.waited_share);
  json_["others_cores"] = NumberOrNull(others.others_cores);
  json_["cores"] = others.cores;
  // The first runs are no measurement, whoever else runs.
  if (others.disturbed() && !cold) {
    tools::PrintMessage("bq-run", others.Text());
  }
}

void Report::Speed(const Runner& runner, const std::string& key,
                   std::string_view unit) {
  const double median = tools::Summarize(runner.run_us()).median;
  const double rate =
      static_cast<double>(runner.max_batch()) * 1e6 / std::max(median, 1e-3);
  Line("speed", tools::FormatRate(rate, unit) + " at the median");
  json_[key] = rate;
}

void Report::Print() const {
  if (options_.json) {
    tools::PrintRaw(Dump(json_) + "\n");
  } else {
    tools::Print(tools::WrapLines(text_, OutputWidth(), 4));
  }
}

void Report::Layers(const std::vector<LayerTime>& layers) {
  Text("\n" + LayerTable(layers, OutputWidth()));
  Json list = Json::array();
  for (const LayerTime& layer : layers) {
    Json entry = {{"name", layer.name},
                  {"op", layer.op},
                  {"output", layer.output},
                  {"backend", layer.backend}};
    if (layer.us > 0) {
      entry["us"] = layer.us;
      entry["share"] = layer.share;
      entry["macs_per_second"] = layer.macs_per_second;
    }
    list.push_back(std::move(entry));
  }
  json_["layers"] = std::move(list);
}

Status AddProfile(const Options& options, const Runner& runner,
                  Report* report) {
  if (options.profile.empty()) return Status();
  report->Line("trace", options.profile);
  report->Layers(LayerTimes(runner));
  report->json()["trace"] = options.profile;
  return tools::WriteFile(
      options.profile,
      ChromeTrace(runner.TypicalRun(), runner.model().graph().name));
}

}  // namespace bqengine::run
