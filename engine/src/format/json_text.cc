// Writing of JSON: Pretty and Compact.
#include <algorithm>
#include <cassert>
#include <charconv>

#include "format/json.h"

namespace bqengine::json {
namespace {

constexpr size_t kLineWidth = 80;
constexpr size_t kIndent = 2;

// The shortest digits that give the same float again, and never an integer.
std::string FloatText(float value) {
  char digits[32];
  const auto [end, code] =
      std::to_chars(digits, digits + sizeof(digits), value);
  assert(code == std::errc());
  std::string text(digits, end);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

std::string ScalarText(const Value& value) {
  if (const auto* boolean = value.As<bool>())
    return *boolean ? "true" : "false";
  if (const auto* number = value.As<int64_t>()) return std::to_string(*number);
  if (const auto* number = value.As<float>()) return FloatText(*number);
  if (const auto* text = value.As<std::string>()) return StringText(*text);
  return "null";
}

// Calls item(prefix, child) for each item or member; prefix is `"key": `.
template <typename Item>
void ForEach(const Value& value, const char* colon, const Item& item) {
  if (const auto* array = value.As<Value::Array>()) {
    for (const Value& child : *array) item(std::string(), child);
  } else if (const auto* object = value.As<Value::Object>()) {
    for (const auto& [key, child] : *object)
      item(StringText(key) + colon, child);
  }
}

bool IsContainer(const Value& value) {
  return value.is_array() || value.is_object();
}

// Containers within containers within `value`.
int Depth(const Value& value) {
  int depth = 0;
  ForEach(value, "", [&](const std::string&, const Value& child) {
    if (IsContainer(child)) depth = std::max(depth, 1 + Depth(child));
  });
  return depth;
}

class PrettyPrinter {
 public:
  // `used`: characters of the line before the value.
  void Print(const Value& value, size_t indent, size_t used) {
    if (!IsContainer(value)) {
      text_ += ScalarText(value);
      return;
    }
    const bool is_array = value.is_array();
    const int depth = Depth(value);
    // Room for the comma that may follow.
    if (depth <= (is_array ? 0 : 1)) {
      if (const std::string line = OneLine(value);
          used + line.size() < kLineWidth) {
        text_ += line;
        return;
      }
    }
    text_ += is_array ? "[" : "{";
    if (is_array && depth == 0) {
      Fill(value, indent + kIndent);
    } else {
      bool first = true;
      ForEach(value, ": ", [&](const std::string& prefix, const Value& child) {
        text_ += first ? "" : ",";
        first = false;
        NewLine(indent + kIndent);
        text_ += prefix;
        Print(child, indent + kIndent, indent + kIndent + prefix.size());
      });
    }
    NewLine(indent);
    text_ += is_array ? "]" : "}";
  }

  std::string Take() { return std::move(text_); }

 private:
  static std::string OneLine(const Value& value) {
    if (!IsContainer(value)) return ScalarText(value);
    std::string inner;
    ForEach(value, ": ", [&](const std::string& prefix, const Value& child) {
      inner += (inner.empty() ? "" : ", ") + prefix + OneLine(child);
    });
    if (value.is_array()) return "[" + inner + "]";
    return inner.empty() ? "{}" : "{ " + inner + " }";
  }

  // Scalars, as many on a line as fit.
  void Fill(const Value& value, size_t indent) {
    size_t used = kLineWidth;
    bool first = true;
    ForEach(value, "", [&](const std::string&, const Value& child) {
      const std::string item = ScalarText(child);
      text_ += first ? "" : ",";
      if (used + item.size() + 2 > kLineWidth) {
        NewLine(indent);
        used = indent;
      } else {
        text_ += " ";
      }
      first = false;
      text_ += item;
      used += item.size() + 2;
    });
  }

  void NewLine(size_t indent) { text_ += "\n" + std::string(indent, ' '); }

  std::string text_;
};

void AppendCompact(const Value& value, std::string* text) {
  if (!IsContainer(value)) {
    *text += ScalarText(value);
    return;
  }
  *text += value.is_array() ? '[' : '{';
  bool first = true;
  ForEach(value, ":", [&](const std::string& prefix, const Value& child) {
    if (!first) *text += ',';
    first = false;
    *text += prefix;
    AppendCompact(child, text);
  });
  *text += value.is_array() ? ']' : '}';
}

}  // namespace

std::string Pretty(const Value& value) {
  PrettyPrinter printer;
  printer.Print(value, 0, 0);
  return printer.Take() + "\n";
}

std::string Compact(const Value& value) {
  std::string text;
  AppendCompact(value, &text);
  return text;
}

}  // namespace bqengine::json
