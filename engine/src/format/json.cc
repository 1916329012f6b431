#include "format/json.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <unordered_set>

namespace bqengine::json {
namespace {

using Library = nlohmann::json;

// A model needs 6 levels. The bound keeps recursion over values shallow.
constexpr size_t kMaxDepth = 32;
// More of a name does not help in a message.
constexpr size_t kMaxShown = 100;

constexpr float kInf = std::numeric_limits<float>::infinity();

// On one line, valid UTF-8, and not long.
std::string Printable(std::string_view text) {
  std::string shown(text.substr(0, kMaxShown));
  if (text.size() > kMaxShown) {
    // Not half a character.
    while (!shown.empty() && (shown.back() & 0xC0) == 0x80) shown.pop_back();
    if (!shown.empty() && (shown.back() & 0x80) != 0) shown.pop_back();
    shown += "...";
  }
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  if (!IsValidUtf8(shown)) {
    for (char& c : shown) {
      if ((c & 0x80) != 0) c = '?';
    }
  }
  return shown;
}

std::string Pointer(const std::string& parent, std::string_view key) {
  std::string path = parent + "/";
  for (char c : Printable(key)) {
    if (c == '~') {
      path += "~0";
    } else if (c == '/') {
      path += "~1";
    } else {
      path += c;
    }
  }
  return path;
}

// Takes the events of the library's parser, which keeps no recursion.
class Builder : public nlohmann::json_sax<Library> {
 public:
  // What was wrong, where; empty if nothing.
  const std::string& error() const { return error_; }
  // As Cursor names a place, with the node if its name is already known.
  std::string Place() const {
    std::string path;
    for (const Level& level : levels_) {
      if (const auto* items = level.value.As<Value::Array>()) {
        path = Pointer(path, std::to_string(items->size()));
      } else if (level.key.has_value()) {
        path = Pointer(path, *level.key);
      }
    }
    if (path.empty()) return "/";
    const std::string node = NodeName();
    return node.empty() ? path : "node " + Quote(node) + " (" + path + ")";
  }
  Value TakeRoot() { return std::move(root_); }

  bool null() override { return Put(Value()); }
  bool boolean(bool value) override { return Put(Value::Bool(value)); }
  bool number_integer(number_integer_t value) override { return Put(value); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > uint64_t{std::numeric_limits<int64_t>::max()}) {
      return Error("the integer " + std::to_string(value) + " is too large");
    }
    return Put(static_cast<int64_t>(value));
  }
  bool number_float(number_float_t value, const string_t& token) override;
  bool string(string_t& value) override { return Put(std::move(value)); }
  bool binary(binary_t&) override { return Error("binary data"); }
  bool start_object(size_t) override { return Open(Value::MakeObject()); }
  bool start_array(size_t) override { return Open(Value::MakeArray()); }
  bool end_object() override { return Close(); }
  bool end_array() override { return Close(); }
  bool key(string_t& key) override {
    Level& level = levels_.back();
    level.key = key;
    return level.keys.insert(key).second || Error("the key stands here twice");
  }
  bool parse_error(size_t position, const std::string& last_token,
                   const Library::exception& e) override;

 private:
  // An array or object that is still open.
  struct Level {
    Value value;
    std::optional<std::string> key;
    std::unordered_set<std::string> keys;
  };

  // Of the node that is being read: the object at /nodes/*.
  std::string NodeName() const {
    if (levels_.size() < 3 || levels_[0].key != "nodes") return "";
    const auto* node = levels_[2].value.As<Value::Object>();
    if (node == nullptr) return "";
    for (const auto& [key, value] : *node) {
      if (const auto* name = value.As<std::string>(); name && key == "name") {
        return *name;
      }
    }
    return "";
  }

  bool Error(std::string what) {
    error_ = std::move(what);
    return false;
  }
  bool Open(Value value) {
    if (levels_.size() == kMaxDepth) {
      return Error("nested deeper than " + std::to_string(kMaxDepth) +
                   " levels");
    }
    levels_.push_back({std::move(value), std::nullopt, {}});
    return true;
  }
  bool Close() {
    Value value = std::move(levels_.back().value);
    levels_.pop_back();
    return Put(std::move(value));
  }
  bool Put(Value value) {
    if (levels_.empty()) {
      root_ = std::move(value);
      return true;
    }
    Level& level = levels_.back();
    if (level.value.is_array()) {
      level.value.Append(std::move(value));
    } else {
      level.value.Add(*std::move(level.key), std::move(value));
      level.key.reset();
    }
    return true;
  }

  std::vector<Level> levels_;
  Value root_;
  std::string error_;
};

// From the digits and not from the double, which would round twice.
bool Builder::number_float(number_float_t value, const string_t& token) {
  if (token.find_first_of(".,eE") == std::string::npos) {
    return Error("the integer " + Printable(token) + " is too large");
  }
  std::string digits = token;
  // The library puts the decimal point of the process's locale into the token.
  for (char& c : digits) {
    if (std::string_view("0123456789+-eE").find(c) == std::string_view::npos) {
      c = '.';
    }
  }
  float number = 0.0f;
  const auto [end, code] =
      std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (code == std::errc::result_out_of_range && std::abs(value) < 1.0) {
    number = value < 0 ? -0.0f : 0.0f;
  } else if (code != std::errc() || end != digits.data() + digits.size() ||
             std::abs(number) == kInf) {
    return Error("the number " + Printable(token) + " is not a float32");
  }
  return Put(number);
}

// The library says "[json.exception.parse_error.101] parse error at line 3,
// column 7: syntax error while parsing value - ...".
bool Builder::parse_error(size_t, const std::string&,
                          const Library::exception& e) {
  std::string what = e.what();
  if (const size_t bracket = what.find("] ");
      what.starts_with('[') && bracket != std::string::npos) {
    what = what.substr(bracket + 2);
  }
  constexpr size_t kLongest = 240;
  if (what.size() > kLongest) what = what.substr(0, kLongest) + "...";
  for (char& c : what) {
    if (c < 0x20 || c == 0x7F) c = '?';  // also bytes that are not ASCII
  }
  return Error(what);
}

}  // namespace

// ---------------------------------------------------------------------- values

void Value::Append(Value value) {
  std::get<Array>(data_).push_back(std::move(value));
}

void Value::Add(std::string key, Value value) {
  std::get<Object>(data_).emplace_back(std::move(key), std::move(value));
}

const char* Value::KindName() const {
  constexpr const char* kNames[] = {
      "null",     "a boolean", "an integer", "a number with a fraction",
      "a string", "an array",  "an object"};
  return kNames[data_.index()];
}

// --------------------------------------------------------------------- reading

Document::Document(std::string file, std::string_view text)
    : file_(std::move(file)) {
  // The library would skip it.
  if (text.starts_with("\xEF\xBB\xBF")) {
    Fail("/", "starts with a byte order mark, which JSON must not have");
    return;
  }
  // The library takes a NUL for the end and would not see what follows.
  if (const size_t nul = text.find('\0'); nul != std::string_view::npos) {
    Fail("/", "byte " + std::to_string(nul) + " is NUL; this is not JSON");
    return;
  }
  Builder builder;
  if (Library::sax_parse(text.data(), text.data() + text.size(), &builder)) {
    root_ = builder.TakeRoot();
  } else {
    Fail(builder.Place(), builder.error());
  }
}

Cursor Document::root() { return Cursor(this, &root_, ""); }

void Document::Fail(const std::string& place, const std::string& what) {
  if (!status_.ok()) return;
  status_ =
      Status(StatusCode::kInvalidModel, file_ + ": " + place + ": " + what);
}

void Cursor::CheckKeys(std::initializer_list<std::string_view> required,
                       std::initializer_list<std::string_view> optional) const {
  const auto* object = value_->As<Value::Object>();
  if (object == nullptr) return FailKind("an object");
  for (std::string_view key : required) {
    if (!Has(key)) return Fail("the key " + Quote(key) + " is missing");
  }
  const auto knows = [](std::initializer_list<std::string_view> keys,
                        std::string_view key) {
    return std::find(keys.begin(), keys.end(), key) != keys.end();
  };
  for (const auto& [key, value] : *object) {
    if (!knows(required, key) && !knows(optional, key)) {
      return Child(value, key).Fail("there is no such key in the format");
    }
  }
}

bool Cursor::Has(std::string_view key) const {
  const auto* object = value_->As<Value::Object>();
  return object != nullptr &&
         std::any_of(object->begin(), object->end(),
                     [key](const auto& member) { return member.first == key; });
}

Cursor Cursor::operator[](std::string_view key) const {
  if (const auto* object = value_->As<Value::Object>()) {
    for (const auto& [name, value] : *object) {
      if (name == key) return Child(value, key);
    }
    Fail("the key " + Quote(key) + " is missing");
  } else {
    FailKind("an object");
  }
  static const Value kNull;
  return Child(kNull, key);
}

std::vector<std::pair<std::string, Cursor>> Cursor::Members() const {
  std::vector<std::pair<std::string, Cursor>> members;
  const auto* object = value_->As<Value::Object>();
  if (object == nullptr) {
    FailKind("an object");
    return members;
  }
  members.reserve(object->size());
  for (const auto& [key, value] : *object) {
    members.emplace_back(key, Child(value, key));
  }
  return members;
}

size_t Cursor::Size() const {
  if (const auto* array = value_->As<Value::Array>()) return array->size();
  FailKind("an array");
  return 0;
}

ItemRange Cursor::Items() const { return ItemRange(*this, Size()); }

Cursor Cursor::At(size_t index) const {
  return Child((*value_->As<Value::Array>())[index], std::to_string(index));
}

int64_t Cursor::Int() const {
  if (const auto* value = value_->As<int64_t>()) return *value;
  FailKind("an integer");
  return 0;
}

float Cursor::Float() const {
  if (const auto* value = value_->As<float>()) return *value;
  if (const auto* value = value_->As<int64_t>()) {
    return static_cast<float>(*value);
  }
  if (const auto* value = value_->As<std::string>()) {
    if (*value == "inf") return kInf;
    if (*value == "-inf") return -kInf;
    Fail(Quote(*value) + " is not a number, \"inf\" or \"-inf\"");
    return 0.0f;
  }
  FailKind("a number");
  return 0.0f;
}

std::string Cursor::String() const {
  if (const auto* value = value_->As<std::string>()) return *value;
  FailKind("a string");
  return "";
}

// Items of long arrays get a Cursor, with its path, only when one is wrong.
std::vector<int64_t> Cursor::Ints() const {
  std::vector<int64_t> values;
  values.reserve(Size());
  for (size_t i = 0; i < Size() && ok(); ++i) {
    const auto* value = (*value_->As<Value::Array>())[i].As<int64_t>();
    values.push_back(value != nullptr ? *value : At(i).Int());
  }
  return values;
}

std::vector<float> Cursor::Floats() const {
  std::vector<float> values;
  values.reserve(Size());
  for (size_t i = 0; i < Size() && ok(); ++i) {
    const auto* value = (*value_->As<Value::Array>())[i].As<float>();
    values.push_back(value != nullptr ? *value : At(i).Float());
  }
  return values;
}

void Cursor::Fail(const std::string& what) const {
  const std::string path = path_.empty() ? "/" : path_;
  document_->Fail(owner_.empty() ? path : owner_ + " (" + path + ")", what);
}

Cursor Cursor::WithOwner(std::string owner) const {
  return Cursor(document_, value_, path_, std::move(owner));
}

Cursor Cursor::Child(const Value& value, std::string_view key) const {
  return Cursor(document_, &value, Pointer(path_, key), owner_);
}

void Cursor::FailKind(const char* wanted) const {
  Fail(std::string("must be ") + wanted + ", not " + value_->KindName());
}

// ------------------------------------------------------------------------ text

std::string StringText(const std::string& text) {
  return Library(text).dump(-1, ' ', false, Library::error_handler_t::replace);
}

bool IsValidUtf8(const std::string& text) {
  try {
    Library(text).dump();
    return true;
  } catch (const Library::exception&) {
    return false;
  }
}

std::string Quote(std::string_view text) { return "'" + Printable(text) + "'"; }

}  // namespace bqengine::json
