// The attribute `post` of binary products: what engine and built-in backends
// must read alike.
#ifndef BACKENDS_BUILTIN_POST_STEPS_H_
#define BACKENDS_BUILTIN_POST_STEPS_H_

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <vector>

namespace bqengine::backends {

inline constexpr size_t kMostPostSteps = 8;

// The role of the constant of each step, if it has one.
inline constexpr const char* kPostRoles[kMostPostSteps] = {
    "post0", "post1", "post2", "post3", "post4", "post5", "post6", "post7"};

// The names between the commas, which point into `post`; none if it is empty.
inline std::vector<std::string_view> SplitPost(std::string_view post) {
  std::vector<std::string_view> steps;
  if (post.empty()) return steps;
  while (true) {
    const size_t comma = std::min(post.find(','), post.size());
    steps.push_back(post.substr(0, comma));
    if (comma == post.size()) return steps;
    post.remove_prefix(comma + 1);
  }
}

// Whether the last input of the node is a residual and no activation base.
inline bool HasResidual(const std::vector<std::string_view>& steps) {
  return std::find(steps.begin(), steps.end(), "Residual") != steps.end();
}

}  // namespace bqengine::backends

#endif  // BACKENDS_BUILTIN_POST_STEPS_H_
