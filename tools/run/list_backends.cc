#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "bqengine/registry.h"
#include "common/terminal.h"
#include "run/modes.h"
#include "run/report.h"

namespace bqengine::run {
namespace {

// Of the list, best first: the one a session would turn to first. The rule is
// that of SessionOptions::backend.
Result<std::string> ChosenBackend(const std::vector<BackendInfo>& backends,
                                  const Options& options) {
  std::string wanted = options.backend;
  if (wanted.empty()) {
    const char* variable = std::getenv("BQENGINE_BACKEND");
    if (variable != nullptr) wanted = variable;
  }
  const auto fits = [&wanted](const BackendInfo& info) {
    return wanted.empty() || info.name == wanted ||
           info.name.starts_with(wanted + ":");
  };
  const auto usable = [&fits](const BackendInfo& info) {
    return info.score > 0 && fits(info);
  };
  const auto chosen = std::find_if(backends.begin(), backends.end(), usable);
  if (chosen != backends.end()) return chosen->name;
  const bool known = std::any_of(backends.begin(), backends.end(), fits);
  return Status(known ? StatusCode::kUnsupported : StatusCode::kNotFound,
                known ? "this machine cannot run backend '" + wanted + "'"
                      : "there is no backend '" + wanted + "'");
}

}  // namespace

Status ListBackendsMode(const Options& options) {
  const Result<std::vector<BackendInfo>> backends = ListBackends();
  if (!backends.ok()) return backends.status();
  const Result<std::string> chosen = ChosenBackend(*backends, options);
  if (!chosen.ok()) return chosen.status();

  Report report(options);
  Json list = Json::array();
  for (const BackendInfo& info : *backends) {
    const bool usable = info.score > 0;
    const bool is_chosen = info.name == *chosen;
    report.Text(fmt::format(
        "{} {:<18} {}{}\n", is_chosen ? '*' : ' ', tools::Printable(info.name),
        usable ? fmt::format("score {}", info.score) : "not usable here",
        is_chosen ? ", chosen" : ""));
    report.Text(fmt::format("    {}; {}\n", tools::Printable(info.description),
                            tools::Printable(info.origin)));
    list.push_back({{"name", info.name},
                    {"description", info.description},
                    {"origin", info.origin},
                    {"score", info.score},
                    {"usable", usable},
                    {"chosen", is_chosen}});
  }
  report.json()["backends"] = std::move(list);
  report.json()["chosen"] = *chosen;
  report.Print();
  return Status();
}

}  // namespace bqengine::run
