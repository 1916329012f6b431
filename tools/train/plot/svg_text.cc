#include "train/plot/svg_text.h"

#include <cstdint>

#include "common/terminal.h"

namespace bqengine::train {
namespace {

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

}  // namespace

std::string SvgText(std::string_view text) {
  std::string out;
  for (const char c : tools::Printable(text)) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += c;
    }
  }
  return out;
}

size_t CountLetters(std::string_view text) {
  size_t count = 0;
  for (const char c : text) count += !IsContinuation(c);
  return count;
}

std::string Shortened(std::string_view text, size_t letters) {
  if (CountLetters(text) <= letters) return std::string(text);
  size_t kept = 0, end = 0;
  while (kept < letters || IsContinuation(text[end])) {
    kept += !IsContinuation(text[end++]);
  }
  // The last letter gives its place to the dots.
  do {
    --end;
  } while (IsContinuation(text[end]));
  return std::string(text.substr(0, end)) + "…";
}

}  // namespace bqengine::train
