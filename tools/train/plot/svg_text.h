// Text from anywhere, for an SVG.
#ifndef BQENGINE_TOOLS_TRAIN_PLOT_SVG_TEXT_H_
#define BQENGINE_TOOLS_TRAIN_PLOT_SVG_TEXT_H_

#include <cstddef>
#include <string>
#include <string_view>

namespace bqengine::train {

// As XML text: UTF-8 in which what XML cannot hold (control characters, bytes
// that are no UTF-8) is a question mark.
std::string SvgText(std::string_view text);

// Letters of UTF-8.
size_t CountLetters(std::string_view text);

// At most `letters` of them; the last one is "…" if there were more.
std::string Shortened(std::string_view text, size_t letters);

}  // namespace bqengine::train

#endif  // BQENGINE_TOOLS_TRAIN_PLOT_SVG_TEXT_H_
