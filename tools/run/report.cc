#include "run/report.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "bqengine/registry.h"
#include "common/file.h"
#include "common/terminal.h"
#include "run/profile.h"

namespace bqengine::run {
namespace {

constexpr int kUnlimited = 1 << 20;  // columns of what is no terminal

int OutputWidth() {
  return std::max(tools::TerminalWidth(STDOUT_FILENO, kUnlimited), 20);
}

std::string Description(const std::string& backend) {
  for (const BackendInfo& info : ListBackends()) {
    if (info.name == backend) return info.description;
  }
  return "";
}

// Names from files need not be valid UTF-8.
std::string Dump(const Json& json) {
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Report::Report(const Options& options, const Runner& runner)
    : options_(options) {
  const std::string& name = runner.model().graph().name;
  const std::string& backend = runner.session().backend();
  const int threads = runner.session().threads();
  Line("model", name.empty() ? options.model
                             : fmt::format("{} ({})", name, options.model));
  Line("backend", fmt::format("{} ({})", backend, Description(backend)));
  Line("threads", std::to_string(threads));
  json_["model"] = options.model;
  json_["name"] = name;
  json_["backend"] = backend;
  json_["threads"] = threads;
}

void Report::Line(std::string_view label, std::string_view text) {
  text_ += fmt::format("{:<10} {}\n", label, tools::Printable(text));
}

void Report::Latency(const tools::Summary& summary, int64_t batch,
                     std::string_view item) {
  Line("latency", fmt::format("median {}, p90 {}, p99 {}{}",
                              tools::FormatMicroseconds(summary.median),
                              tools::FormatMicroseconds(summary.p90),
                              tools::FormatMicroseconds(summary.p99),
                              batch == 1 ? fmt::format(" per {}", item)
                                         : fmt::format(" per run of {} {}s",
                                                       batch, item)));
  json_["batch"] = batch;
  json_["latency_us"] = {
      {"median", summary.median}, {"p90", summary.p90}, {"p99", summary.p99}};
}

void Report::Print() const {
  tools::Print(options_.json ? Dump(json_) + "\n"
                             : tools::WrapLines(text_, OutputWidth(), 4));
}

Status AddProfile(const Options& options, const Runner& runner,
                  Report* report) {
  if (options.profile.empty()) return Status();
  const std::vector<LayerTime> layers = LayerTimes(runner);
  report->Line("trace", options.profile);
  report->Text("\n" + LayerTable(layers, OutputWidth()));
  Json list = Json::array();
  for (const LayerTime& layer : layers) {
    list.push_back({{"name", layer.name},
                    {"op", layer.op},
                    {"output", layer.output},
                    {"backend", layer.backend},
                    {"us", layer.us},
                    {"share", layer.share},
                    {"macs_per_second", layer.macs_per_second}});
  }
  report->json()["layers"] = std::move(list);
  report->json()["trace"] = options.profile;
  return tools::WriteFile(
      options.profile,
      ChromeTrace(runner.session().profile(), runner.model().graph().name));
}

}  // namespace bqengine::run
