#include "train/plot/history_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <vector>

#include "common/file.h"

namespace bqengine::train {
namespace {

constexpr std::string_view kEpoch = "epoch";

struct Column {
  std::string_view name;
  double EpochRecord::*value;
};
constexpr Column kColumns[] = {
    {"train_loss", &EpochRecord::train_loss},
    {"train_accuracy", &EpochRecord::train_accuracy},
    {"test_accuracy", &EpochRecord::test_accuracy},
    {"learning_rate", &EpochRecord::learning_rate},
    {"seconds", &EpochRecord::seconds},
};

struct LayerColumn {
  std::string_view suffix;
  double LayerRecord::*value;
};
constexpr LayerColumn kLayerColumns[] = {
    {".quantization_error", &LayerRecord::quantization_error},
    {".flipped", &LayerRecord::flipped},
};

constexpr size_t kFirstLayerColumn = 1 + std::size(kColumns);

std::string Quoted(const std::string& field) {
  if (field.find_first_of(",\"\r\n") == std::string::npos) return field;
  std::string quoted = "\"";
  for (const char c : field) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

using Row = std::vector<std::string>;

// Takes the first field off `text`, whose quotes, if any, are closed and
// followed by a comma or the end of the row; else returns false.
bool TakeField(std::string_view* text, std::string* field) {
  field->clear();
  if (!text->starts_with('"')) {
    *field = text->substr(0, text->find_first_of(",\r\n"));
    text->remove_prefix(field->size());
    return field->find('"') == std::string::npos;
  }
  text->remove_prefix(1);
  while (true) {
    const size_t quote = text->find('"');
    if (quote == std::string_view::npos) return false;
    *field += text->substr(0, quote);
    text->remove_prefix(quote + 1);
    if (!text->starts_with('"')) break;
    *field += '"';
    text->remove_prefix(1);
  }
  return text->empty() || std::string_view(",\r\n").find(text->front()) !=
                              std::string_view::npos;
}

// Takes a row and its end off `text`.
bool TakeRow(std::string_view* text, Row* row) {
  row->clear();
  while (true) {
    if (!TakeField(text, &row->emplace_back())) return false;
    if (!text->starts_with(',')) break;
    text->remove_prefix(1);
  }
  if (text->starts_with('\r')) text->remove_prefix(1);
  if (text->empty()) return true;
  if (!text->starts_with('\n')) return false;
  text->remove_prefix(1);
  return true;
}

template <typename T>
bool ParseNumber(const std::string& text, T* value) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, *value);
  return error == std::errc() && stop == end;
}

// The names of layers that a header has; false if it is none of ours.
bool ParseHeader(const Row& row, std::vector<std::string>* layers) {
  constexpr size_t kPerLayer = std::size(kLayerColumns);
  if (row.size() < kFirstLayerColumn || row[0] != kEpoch ||
      (row.size() - kFirstLayerColumn) % kPerLayer != 0) {
    return false;
  }
  for (size_t i = 0; i < std::size(kColumns); ++i) {
    if (row[1 + i] != kColumns[i].name) return false;
  }
  for (size_t i = kFirstLayerColumn; i < row.size(); i += kPerLayer) {
    const std::string_view suffix = kLayerColumns[0].suffix;
    if (!row[i].ends_with(suffix)) return false;
    layers->push_back(row[i].substr(0, row[i].size() - suffix.size()));
    for (size_t k = 1; k < kPerLayer; ++k) {
      if (row[i + k] != layers->back() + std::string(kLayerColumns[k].suffix)) {
        return false;
      }
    }
  }
  return true;
}

// `row` has as many fields as the header. Returns the first that is no number,
// or the end.
Row::const_iterator ParseEpoch(const Row& row,
                               const std::vector<std::string>& layers,
                               EpochRecord* epoch) {
  auto field = row.begin();
  if (!ParseNumber(*field, &epoch->epoch)) return field;
  for (const Column& column : kColumns) {
    if (!ParseNumber(*++field, &(epoch->*column.value))) return field;
  }
  for (const std::string& name : layers) {
    LayerRecord& layer = epoch->layers.emplace_back();
    layer.name = name;
    for (const LayerColumn& column : kLayerColumns) {
      if (!ParseNumber(*++field, &(layer.*column.value))) return field;
    }
  }
  return row.end();
}

}  // namespace

std::string HistoryCsv(const TrainingHistory& history) {
  std::string csv(kEpoch);
  for (const Column& column : kColumns) {
    csv += fmt::format(",{}", column.name);
  }
  if (!history.epochs.empty()) {
    for (const LayerRecord& layer : history.epochs[0].layers) {
      for (const LayerColumn& column : kLayerColumns) {
        csv += ',' + Quoted(layer.name + std::string(column.suffix));
      }
    }
  }
  csv += '\n';
  for (const EpochRecord& epoch : history.epochs) {
    csv += std::to_string(epoch.epoch);
    for (const Column& column : kColumns) {
      csv += fmt::format(",{}", epoch.*column.value);
    }
    for (const LayerRecord& layer : epoch.layers) {
      for (const LayerColumn& column : kLayerColumns) {
        csv += fmt::format(",{}", layer.*column.value);
      }
    }
    csv += '\n';
  }
  return csv;
}

Result<TrainingHistory> ParseHistoryCsv(std::string_view text,
                                        const std::string& path) {
  const auto invalid = [&path](const std::string& what) {
    return tools::FileError(StatusCode::kInvalidArgument, path, what);
  };
  Row row;
  std::vector<std::string> layers;
  if (!TakeRow(&text, &row) || !ParseHeader(row, &layers)) {
    return invalid("is no log of a training run (wrong header)");
  }
  const size_t columns = row.size();
  TrainingHistory history;
  while (!text.empty()) {
    const std::string where =
        "row " + std::to_string(history.epochs.size() + 2);
    if (!TakeRow(&text, &row)) return invalid(where + " is no CSV");
    if (row.size() != columns) {
      return invalid(where + " has " + std::to_string(row.size()) +
                     " fields, the header " + std::to_string(columns));
    }
    const auto wrong = ParseEpoch(row, layers, &history.epochs.emplace_back());
    if (wrong != row.end()) {
      return invalid(where + ", field " +
                     std::to_string(wrong - row.begin() + 1) +
                     " is no number that fits there");
    }
  }
  return history;
}

}  // namespace bqengine::train
