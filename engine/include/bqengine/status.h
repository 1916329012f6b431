// Errors as values. The library prints nothing, and throws nothing whatever
// happens: what can fail returns a Status, or a Result that holds a value or a
// Status. Where memory runs out that is kOutOfMemory; nothing is lost then, and
// the same call can be made again. Arguments that are taken by value, and
// copies of what a function gave, are the caller's own: std::bad_alloc comes
// from them as from any other line of the caller's.
#ifndef BQENGINE_STATUS_H_
#define BQENGINE_STATUS_H_

#include <cassert>
#include <optional>
#include <string>
#include <utility>

#include "bqengine/export.h"

namespace bqengine {

enum class StatusCode {
  kOk = 0,
  kInvalidArgument,  // the caller's mistake: wrong size, unknown name
  kInvalidModel,     // a model file or graph that breaks the format's rules
  kNotFound,         // a file, tensor or backend that does not exist
  kIo,               // the operating system refused to read or write
  kUnsupported,      // correct, but no backend can run it
  kOutOfMemory,
  kInternal,  // a defect of bqengine or of a plug-in
};

// The name of a code as in the enumeration, without the k: "InvalidModel".
BQENGINE_API const char* StatusCodeName(StatusCode code);

class [[nodiscard]] Status {
 public:
  Status() = default;  // success
  Status(StatusCode code, std::string message)
      : code_(code), message_(std::move(message)) {}

  bool ok() const { return code_ == StatusCode::kOk; }
  StatusCode code() const { return code_; }

  // For people; one line; names the file, node and JSON path where there is
  // one. Empty if ok().
  const std::string& message() const { return message_; }

 private:
  StatusCode code_ = StatusCode::kOk;
  std::string message_;
};

// A value, or the reason why there is none.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : value_(std::move(value)) {}
  Result(Status status) : status_(std::move(status)) { assert(!status_.ok()); }

  bool ok() const { return value_.has_value(); }
  const Status& status() const { return status_; }

  // Precondition of all: ok().
  T& value() & { return assert(ok()), *value_; }
  const T& value() const& { return assert(ok()), *value_; }
  T&& value() && { return assert(ok()), *std::move(value_); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::optional<T> value_;
  Status status_;
};

}  // namespace bqengine

#endif  // BQENGINE_STATUS_H_
