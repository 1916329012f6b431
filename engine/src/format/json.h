// JSON for model files: the only part of the engine that knows a JSON library.
//
// Reading: a Document parses strictly (no duplicate keys, no bytes that are not
// UTF-8, nothing behind the value, bounded nesting, no number beyond int64 or
// float32), and a Cursor walks over it. The first thing found wrong anywhere is
// kept by the Document with the file's name and the JSON pointer of the place;
// after that, reads return harmless defaults, so that code that reads needs no
// check after every line. It must ask status() before it uses what it read.
//
// Writing: a Value is built and formatted. Object keys keep the order in which
// they were added.
#ifndef ENGINE_SRC_FORMAT_JSON_H_
#define ENGINE_SRC_FORMAT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bqengine/status.h"
#include "bqengine/variant.h"

namespace bqengine::json {

// A number with a fraction or an exponent is a float, any other an int64.
class Value {
 public:
  using Array = std::vector<Value>;
  using Object = std::vector<std::pair<std::string, Value>>;

  Value() = default;  // null
  Value(int64_t value) : data_(value) {}
  Value(float value) : data_(value) {}  // must be finite
  Value(std::string value) : data_(std::move(value)) {}
  Value(const char* value) : data_(std::string(value)) {}
  static Value Bool(bool value) { return Value(Data(value)); }
  static Value MakeArray() { return Value(Data(Array())); }
  static Value MakeObject() { return Value(Data(Object())); }

  // Precondition: an array, an object with no such key.
  void Append(Value value);
  void Add(std::string key, Value value);

  // Null if it is something else.
  template <typename T>
  const T* As() const {
    return std::get_if<T>(&data_);
  }
  bool is_array() const { return As<Array>() != nullptr; }
  bool is_object() const { return As<Object>() != nullptr; }

  // "a string", "an object": for messages.
  const char* KindName() const;

 private:
  using Data =
      Variant<std::monostate, bool, int64_t, float, std::string, Array, Object>;
  explicit Value(Data data) : data_(std::move(data)) {}
  Data data_;
};

class Cursor;
class ItemRange;

class Document {
 public:
  // `file` is the name for messages.
  Document(std::string file, std::string_view text);
  Document(const Document&) = delete;
  Document& operator=(const Document&) = delete;

  const Status& status() const { return status_; }
  bool ok() const { return status_.ok(); }
  Cursor root();

  // Keeps "<file>: <place>: <what>" (kInvalidModel) unless there is an earlier
  // error.
  void Fail(const std::string& place, const std::string& what);

 private:
  std::string file_;
  Status status_;
  Value root_;
};

// A place in a Document, which must outlive it.
class Cursor {
 public:
  Cursor(Document* document, const Value* value, std::string path,
         std::string owner = "")
      : document_(document),
        value_(value),
        path_(std::move(path)),
        owner_(std::move(owner)) {}

  bool ok() const { return document_->ok(); }
  const Value& value() const { return *value_; }

  // Fails unless this is an object that has all of `required` and otherwise
  // only some of `optional`.
  void CheckKeys(std::initializer_list<std::string_view> required,
                 std::initializer_list<std::string_view> optional) const;
  bool Has(std::string_view key) const;
  // Fails if there is none.
  Cursor operator[](std::string_view key) const;
  std::vector<std::pair<std::string, Cursor>> Members() const;

  // Fail unless this is an array. Going over the items ends at an error.
  size_t Size() const;
  ItemRange Items() const;
  // The place of an item, for Fail.
  Cursor At(size_t index) const;

  int64_t Int() const;
  // Also an integer, and the strings "inf" and "-inf".
  float Float() const;
  std::string String() const;
  std::vector<int64_t> Ints() const;
  std::vector<float> Floats() const;

  void Fail(const std::string& what) const;

  // The same place, with "node 'conv1'" to be named in its messages.
  Cursor WithOwner(std::string owner) const;

 private:
  Cursor Child(const Value& value, std::string_view key) const;
  void FailKind(const char* wanted) const;

  Document* document_;
  const Value* value_;
  std::string path_;
  std::string owner_;
};

// For range-based loops over the items of an array. Cursors are made one by
// one: all of a long array would take many times the memory of its text.
class ItemRange {
 public:
  struct Iterator {
    const Cursor* array;
    size_t index;
    Cursor operator*() const { return array->At(index); }
    Iterator& operator++() {
      ++index;
      return *this;
    }
    bool operator!=(const Iterator& end) const {
      return index != end.index && array->ok();
    }
  };

  ItemRange(Cursor array, size_t size)
      : array_(std::move(array)), size_(size) {}
  Iterator begin() const { return {&array_, 0}; }
  Iterator end() const { return {&array_, size_}; }

 private:
  Cursor array_;
  size_t size_;
};

// Two-space indentation; arrays and objects without deeper structure stand on
// one line if they fit. Ends with a newline. Strings must be valid UTF-8.
std::string Pretty(const Value& value);
// Without any space.
std::string Compact(const Value& value);

// A string as JSON, in double quotes. Bytes that are not UTF-8 are replaced.
std::string StringText(const std::string& text);

bool IsValidUtf8(const std::string& text);

// For messages: `text` in single quotes, on one line, cut if very long.
std::string Quote(std::string_view text);

}  // namespace bqengine::json

#endif  // ENGINE_SRC_FORMAT_JSON_H_
