#include "common/npy.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>

#include "common/file.h"

namespace bqengine::tools {
namespace {

// Values are copied as they stand in memory; ports to big-endian machines have
// to swap bytes here.
static_assert(std::endian::native == std::endian::little);

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr size_t kMaxRank = 32;  // NumPy's own limit

struct Header {
  std::string descr;
  std::optional<bool> fortran_order;
  std::optional<Shape> shape;
};

// Reads the Python dictionary of the header, which NumPy writes as
//   {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
// Keys may come in any order. Every Take... skips white space first and returns
// false, or nullopt, if something else stands there.
class HeaderParser {
 public:
  explicit HeaderParser(std::string_view text) : rest_(text) {}

  // Empty on success, otherwise what is wrong.
  std::string Parse(Header* header) {
    if (!Take('{')) return "header is not a dictionary";
    while (!Take('}')) {
      const std::optional<std::string> key = TakeString();
      if (!key || !Take(':')) return "header is damaged";
      std::string problem = ParseValue(*key, header);
      if (!problem.empty()) return problem;
      if (!Take(',') && Peek() != '}') return "header is damaged";
    }
    if (Peek() != '\0') return "header has something behind its dictionary";
    if (header->descr.empty()) return "header has no 'descr'";
    if (!header->fortran_order) return "header has no 'fortran_order'";
    if (!header->shape) return "header has no 'shape'";
    return "";
  }

 private:
  std::string ParseValue(const std::string& key, Header* header) {
    if (key == "descr") {
      if (Peek() == '[') return "holds records, only plain numbers can be read";
      std::optional<std::string> value = TakeString();
      if (!value || value->empty()) return "'descr' is not a string";
      header->descr = *std::move(value);
      return "";
    }
    if (key == "fortran_order") {
      if (TakeWord("True")) {
        header->fortran_order = true;
      } else if (TakeWord("False")) {
        header->fortran_order = false;
      } else {
        return "'fortran_order' is neither True nor False";
      }
      return "";
    }
    if (key == "shape") return ParseShape(header);
    return "header has an unknown key '" + key + "'";
  }

  std::string ParseShape(Header* header) {
    if (!Take('(')) return "'shape' is not a tuple";
    Shape shape;
    while (!Take(')')) {
      Peek();
      int64_t dimension = 0;
      const auto [end, error] =
          std::from_chars(rest_.data(), rest_.data() + rest_.size(), dimension);
      if (error == std::errc::result_out_of_range) {
        return "'shape' has a dimension beyond 64 bits";
      }
      if (error != std::errc())
        return "'shape' has something else than numbers";
      if (dimension < 0) return "'shape' has a negative dimension";
      if (shape.size() == kMaxRank) return "'shape' has too many dimensions";
      rest_.remove_prefix(static_cast<size_t>(end - rest_.data()));
      TakeWord("L");  // Python 2 wrote long integers so
      shape.push_back(dimension);
      if (!Take(',') && Peek() != ')') return "'shape' is damaged";
    }
    header->shape = std::move(shape);
    return "";
  }

  char Peek() {
    while (!rest_.empty() && std::strchr(" \t\r\n", rest_.front()) != nullptr &&
           rest_.front() != '\0') {
      rest_.remove_prefix(1);
    }
    return rest_.empty() ? '\0' : rest_.front();
  }
  bool Take(char wanted) {
    if (Peek() != wanted) return false;
    rest_.remove_prefix(1);
    return true;
  }
  bool TakeWord(std::string_view word) {
    Peek();
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  std::optional<std::string> TakeString() {
    const char quote = Peek();
    if (quote != '\'' && quote != '"') return std::nullopt;
    const size_t end = rest_.find(quote, 1);
    if (end == std::string_view::npos) return std::nullopt;
    std::string text(rest_.substr(1, end - 1));
    rest_.remove_prefix(end + 1);
    return text;
  }

  std::string_view rest_;
};

template <typename T>
void Convert(std::span<const uint8_t> bytes, std::vector<float>* values) {
  for (size_t i = 0; i < values->size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    (*values)[i] = static_cast<float>(value);
  }
}

struct ElementType {
  const char* descr;  // without the sign of the byte order
  size_t bytes;
  void (*convert)(std::span<const uint8_t>, std::vector<float>*);
};
constexpr ElementType kTypes[] = {
    {"f4", 4, Convert<float>},    {"f8", 8, Convert<double>},
    {"u1", 1, Convert<uint8_t>},  {"i1", 1, Convert<int8_t>},
    {"u2", 2, Convert<uint16_t>}, {"i2", 2, Convert<int16_t>},
    {"u4", 4, Convert<uint32_t>}, {"i4", 4, Convert<int32_t>},
    {"u8", 8, Convert<uint64_t>}, {"i8", 8, Convert<int64_t>},
    {"b1", 1, Convert<uint8_t>},
};

// '<', '|' (one byte: no order) and '=' are read here.
const ElementType* FindType(const std::string& descr) {
  if (std::strchr("<|=", descr[0]) == nullptr) return nullptr;
  for (const ElementType& type : kTypes) {
    if (descr.compare(1, std::string::npos, type.descr) == 0) return &type;
  }
  return nullptr;
}

// nullopt if the product overflows. A dimension of 0 makes an empty array,
// whatever the others are.
std::optional<uint64_t> CountElements(const Shape& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  uint64_t count = 1;
  for (const int64_t dimension : shape) {
    if (__builtin_mul_overflow(count, static_cast<uint64_t>(dimension),
                               &count)) {
      return std::nullopt;
    }
  }
  return count;
}

// As Python writes a tuple: "()", "(2,)", "(3, 4)".
std::string ShapeText(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  if (shape.size() == 1) text += ',';
  return text + ")";
}

}  // namespace

Result<NpyArray> ParseNpy(const std::string& name,
                          std::span<const uint8_t> bytes) {
  const auto broken = [&name](const std::string& what) {
    return FileError(StatusCode::kInvalidArgument, name, what);
  };
  if (bytes.empty()) return broken("is empty");
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()),
                              bytes.size());
  if (!text.starts_with(kMagic)) return broken("is not an .npy file");
  constexpr size_t kVersionAt = kMagic.size();
  constexpr size_t kLengthAt = kVersionAt + 2;
  if (bytes.size() < kLengthAt + 4) return broken(".npy header is truncated");
  const int version = bytes[kVersionAt];
  if (version < 1 || version > 3) {
    return broken(".npy version " + std::to_string(version) +
                  " is not one of 1, 2, 3");
  }
  const size_t length_bytes = version == 1 ? 2 : 4;
  size_t header_size = 0;
  for (size_t i = 0; i < length_bytes; ++i) {
    header_size |= size_t{bytes[kLengthAt + i]} << (8 * i);
  }
  const size_t header_at = kLengthAt + length_bytes;
  if (header_size > bytes.size() - header_at) {
    return broken(".npy header is truncated");
  }

  Header header;
  const std::string problem =
      HeaderParser(text.substr(header_at, header_size)).Parse(&header);
  if (!problem.empty()) return broken(problem);
  if (header.descr[0] == '>') {
    return broken("type '" + header.descr +
                  "' is big-endian; save it as float32 ('<f4')");
  }
  const ElementType* type = FindType(header.descr);
  if (type == nullptr) {
    return broken("type '" + header.descr +
                  "' cannot be read; save it as float32 ('<f4')");
  }
  if (*header.fortran_order && header.shape->size() > 1) {
    return broken(
        "is in Fortran order; save it with numpy.ascontiguousarray(...)");
  }

  const std::optional<uint64_t> count = CountElements(*header.shape);
  const uint64_t available = bytes.size() - header_at - header_size;
  if (!count || *count > std::numeric_limits<uint64_t>::max() / type->bytes) {
    return broken("shape " + ShapeText(*header.shape) + " overflows");
  }
  if (*count * type->bytes != available) {
    return broken("shape " + ShapeText(*header.shape) + " of '" + header.descr +
                  "' takes " + std::to_string(*count * type->bytes) +
                  " bytes, the file holds " + std::to_string(available));
  }
  NpyArray array{*std::move(header.shape), std::vector<float>(*count)};
  type->convert(bytes.subspan(header_at + header_size), &array.values);
  return array;
}

Result<NpyArray> ReadNpy(const std::string& path) {
  const Result<std::vector<uint8_t>> bytes = ReadFile(path);
  if (!bytes.ok()) return bytes.status();
  return ParseNpy(path, *bytes);
}

Status WriteNpy(const std::string& path, const Shape& shape,
                std::span<const float> values) {
  const std::optional<uint64_t> count = CountElements(shape);
  if (!count || *count != values.size()) {
    return FileError(StatusCode::kInvalidArgument, path,
                     std::to_string(values.size()) +
                         " values do not make an array of shape " +
                         ShapeText(shape));
  }
  std::string dictionary =
      "{'descr': '<f4', 'fortran_order': False, 'shape': " + ShapeText(shape) +
      ", }";
  // Spaces and a newline bring the data to a multiple of 64 bytes, as the
  // format asks.
  constexpr size_t kPrefix = kMagic.size() + 4;
  const size_t used = kPrefix + dictionary.size() + 1;
  dictionary.append((64 - used % 64) % 64, ' ');
  dictionary += '\n';

  std::string header(kMagic);
  header += {'\1', '\0', static_cast<char>(dictionary.size() & 0xff),
             static_cast<char>(dictionary.size() >> 8)};
  header += dictionary;
  return WriteFile(path, [&](const ByteSink& sink) {
    return sink(header.data(), header.size()) &&
           sink(values.data(), values.size_bytes());
  });
}

}  // namespace bqengine::tools
