#include "common/class_numbers.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "common/file.h"
#include "common/terminal.h"

namespace bqengine::tools {
namespace {

// "a, b, c and 7 more"
std::string ListText(const std::vector<std::string>& names) {
  constexpr size_t kMost = 5;
  const size_t shown = names.size() > kMost + 1 ? kMost : names.size();
  std::string text;
  for (size_t i = 0; i < shown; ++i) {
    text += (i == 0 ? "" : ", ") + Printable(names[i]);
  }
  if (shown < names.size()) {
    text += fmt::format(" and {} more", names.size() - shown);
  }
  return text;
}

bool IsNumber(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return c >= '0' && c <= '9';
  });
}

// The value of digits if it is below `limit`, which has less than 18 of them.
std::optional<int64_t> ValueBelow(int64_t limit, const std::string& digits) {
  int64_t value = 0;
  for (const char c : digits) {
    value = value * 10 + (c - '0');
    if (value >= limit) return std::nullopt;
  }
  return value;
}

class Numbering {
 public:
  Numbering(const std::string& spec, const std::vector<std::string>& labels,
            int64_t outputs, const std::vector<std::string>& names)
      : spec_(spec), labels_(labels), outputs_(outputs), names_(names) {}

  // The number of each class.
  Result<std::vector<uint16_t>> Numbers() const {
    if (labels_.size() == static_cast<size_t>(outputs_)) return ByLabel();
    if (std::all_of(names_.begin(), names_.end(), IsNumber)) return ByValue();
    return ByOrder();
  }

 private:
  Status Error(const std::string& what) const {
    return FileError(StatusCode::kInvalidArgument, spec_, what);
  }

  // Names of classes were made Printable; so are labels before they meet.
  Result<std::vector<uint16_t>> ByLabel() const {
    std::multimap<std::string, size_t> outputs;
    for (size_t i = 0; i < labels_.size(); ++i) {
      outputs.emplace(Printable(labels_[i]), i);
    }
    std::vector<uint16_t> numbers;
    for (const std::string& name : names_) {
      const auto [first, end] = outputs.equal_range(name);
      if (first == end) {
        return Error(fmt::format(
            "class '{}' is not among the network's labels ({}); name each "
            "folder as the label it belongs to",
            name, ListText(labels_)));
      }
      if (std::next(first) != end) {
        return Error(fmt::format(
            "class '{}' is the label of outputs {} and {} of the network; "
            "which of them its folder belongs to cannot be told",
            name, first->second, std::next(first)->second));
      }
      numbers.push_back(static_cast<uint16_t>(first->second));
    }
    return numbers;
  }

  Result<std::vector<uint16_t>> ByValue() const {
    std::vector<uint16_t> numbers;
    for (const std::string& name : names_) {
      const std::optional<int64_t> value = ValueBelow(outputs_, name);
      if (!value) {
        return Error(fmt::format(
            "folder '{}' is class {}, but the network has {} outputs; numbers "
            "of folders start at 0 and end at {}",
            name, name, outputs_, outputs_ - 1));
      }
      numbers.push_back(static_cast<uint16_t>(*value));
    }
    return numbers;
  }

  Result<std::vector<uint16_t>> ByOrder() const {
    if (names_.size() != static_cast<size_t>(outputs_)) {
      return Error(fmt::format(
          "has {} classes ({}), but the network has {} outputs and no labels "
          "for them; it takes a folder for each output, or folders whose names "
          "are the numbers of outputs (0 to {})",
          names_.size(), ListText(names_), outputs_, outputs_ - 1));
    }
    std::vector<uint16_t> numbers(names_.size());
    for (size_t i = 0; i < numbers.size(); ++i) {
      numbers[i] = static_cast<uint16_t>(i);
    }
    return numbers;
  }

  const std::string& spec_;
  const std::vector<std::string>& labels_;
  const int64_t outputs_;
  const std::vector<std::string>& names_;
};

Status CheckUnnamed(const std::string& spec, int64_t outputs,
                    const Dataset& data) {
  constexpr int64_t kUsual = 10;
  if (data.classes == outputs) return Status();
  if (data.classes < kUsual && outputs == kUsual) return Status();
  return FileError(StatusCode::kInvalidArgument, spec,
                   fmt::format("has {} classes (labels 0 to {}), but the "
                               "network has {} outputs",
                               data.classes, data.classes - 1, outputs));
}

}  // namespace

Status NumberClasses(const std::string& spec,
                     const std::vector<std::string>& network_labels,
                     int64_t outputs, Dataset* data) {
  if (data->class_names.empty()) return CheckUnnamed(spec, outputs, *data);
  constexpr int64_t kMostOutputs = std::numeric_limits<uint16_t>::max();
  if (outputs > kMostOutputs) {
    return FileError(StatusCode::kInvalidArgument, spec,
                     fmt::format("classes have numbers up to {}, but the "
                                 "network has {} outputs",
                                 kMostOutputs - 1, outputs));
  }
  const auto numbers =
      Numbering(spec, network_labels, outputs, data->class_names).Numbers();
  if (!numbers.ok()) return numbers.status();

  std::vector<std::string> names(static_cast<size_t>(outputs));
  for (size_t i = 0; i < numbers->size(); ++i) {
    std::string& name = names[(*numbers)[i]];
    if (!name.empty()) {
      return FileError(StatusCode::kInvalidArgument, spec,
                       fmt::format("folders '{}' and '{}' are one class", name,
                                   data->class_names[i]));
    }
    name = data->class_names[i];
  }
  for (size_t i = 0; i < names.size(); ++i) {
    if (!names[i].empty()) continue;
    names[i] = network_labels.size() == names.size() ? network_labels[i]
                                                     : std::to_string(i);
  }
  for (uint16_t& label : data->labels) label = (*numbers)[label];
  data->class_names = std::move(names);
  data->classes = outputs;
  return Status();
}

}  // namespace bqengine::tools
