#include "train/plot/svg_text.h"

#include <cstdint>

namespace bqengine::train {
namespace {

bool IsContinuation(char c) { return (static_cast<uint8_t>(c) & 0xc0) == 0x80; }

// The bytes of the character at the start of `text`; 0 if they are none that
// XML may hold.
size_t CharacterSize(std::string_view text) {
  const auto first = static_cast<uint8_t>(text[0]);
  if (first < 0x80) return first >= 0x20 && first != 0x7f ? 1 : 0;
  const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < size) return 0;
  uint32_t code = first & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if (!IsContinuation(text[i])) return 0;
    code = code << 6 | (static_cast<uint8_t>(text[i]) & 0x3f);
  }
  constexpr uint32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code < 0xe000;
  const bool noncharacter = code == 0xfffe || code == 0xffff;
  const bool wrong = code < kLeast[size] || code > 0x10ffff;
  return surrogate || noncharacter || wrong ? 0 : size;
}

}  // namespace

std::string SvgText(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t size = CharacterSize(text);
    const char c = text[0];
    if (size == 0) {
      out += '?';
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else {
      out += text.substr(0, size);
    }
    text.remove_prefix(size == 0 ? 1 : size);
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
