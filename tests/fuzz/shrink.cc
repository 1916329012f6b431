#include "tests/fuzz/shrink.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "tests/fuzz/differential.h"

namespace bqengine::fuzz {
namespace {

// Takes what no output needs out of the case.
void DropUnused(TestCase& test) {
  Graph& graph = test.graph;
  std::set<std::string> wanted, constants;
  for (const GraphOutput& output : graph.outputs) wanted.insert(output.name);
  std::set<const Node*> alive;
  for (bool more = true; more;) {
    more = false;
    for (const Node& node : graph.nodes) {
      for (const std::string& output : node.outputs) {
        if (!wanted.contains(output) || !alive.insert(&node).second) continue;
        more = true;
        wanted.insert(node.inputs.begin(), node.inputs.end());
        for (const auto& [role, name] : node.constants) constants.insert(name);
      }
    }
  }
  std::vector<Node> nodes;
  for (const Node& node : graph.nodes) {
    if (alive.contains(&node)) nodes.push_back(node);
  }
  graph.nodes = std::move(nodes);
  for (size_t i = graph.inputs.size(); i-- > 0;) {
    if (wanted.contains(graph.inputs[i].name) || graph.inputs.size() == 1) {
      continue;
    }
    graph.inputs.erase(graph.inputs.begin() + static_cast<std::ptrdiff_t>(i));
    test.inputs.erase(test.inputs.begin() + static_cast<std::ptrdiff_t>(i));
  }
  std::erase_if(graph.constants, [&](const auto& entry) {
    return !constants.contains(entry.first);
  });
}

class Shrinker {
 public:
  explicit Shrinker(TestCase test) : test_(std::move(test)) {}

  TestCase Run() {
    for (bool smaller = true; smaller;) {
      smaller = KeepFewerOutputs() || KeepOneItem() || CutSomewhere() ||
                BypassSomething() || DropSomePart();
    }
    return std::move(test_);
  }

 private:
  // Takes the candidate if it still differs.
  bool Try(TestCase candidate) {
    DropUnused(candidate);
    if (!FindDifference(candidate).has_value()) return false;
    test_ = std::move(candidate);
    return true;
  }

  bool KeepFewerOutputs() {
    if (test_.graph.outputs.size() == 1) return false;
    for (const GraphOutput& output : test_.graph.outputs) {
      TestCase candidate = test_;
      candidate.graph.outputs = {output};
      if (Try(std::move(candidate))) return true;
    }
    // Others may be needed: they make a tensor one that somebody else takes.
    for (size_t i = 0; i < test_.graph.outputs.size(); ++i) {
      TestCase candidate = test_;
      candidate.graph.outputs.erase(candidate.graph.outputs.begin() +
                                    static_cast<std::ptrdiff_t>(i));
      if (Try(std::move(candidate))) return true;
    }
    return false;
  }

  bool KeepOneItem() {
    for (int64_t item = 0; test_.batch > 1 && item < test_.batch; ++item) {
      TestCase candidate = test_;
      candidate.batch = 1;
      for (Bytes& input : candidate.inputs) {
        const auto size =
            static_cast<std::ptrdiff_t>(input.size()) / test_.batch;
        input = Bytes(input.begin() + item * size,
                      input.begin() + (item + 1) * size);
      }
      if (Try(std::move(candidate))) return true;
    }
    return false;
  }

  // A tensor becomes an input, with the values that the reference gives it.
  bool CutSomewhere() {
    const auto tensors = InferShapes(test_.graph);
    for (size_t i = 0; i < test_.graph.nodes.size(); ++i) {
      const Node& node = test_.graph.nodes[i];
      if (node.outputs.size() != 1 || IsOutput(node.outputs[0])) continue;
      TestCase values = test_;
      values.graph.outputs = {{.name = node.outputs[0]}};
      DropUnused(values);
      auto result = RunCase(values, "reference", /*optimize=*/false, 1);
      if (!result.ok()) continue;
      TestCase candidate = test_;
      candidate.graph.inputs.push_back(
          {.name = node.outputs[0], .info = tensors->at(node.outputs[0])});
      candidate.inputs.push_back(std::move((*result)[0]));
      candidate.graph.nodes.erase(candidate.graph.nodes.begin() +
                                  static_cast<std::ptrdiff_t>(i));
      if (Try(std::move(candidate))) return true;
    }
    return false;
  }

  // A node goes, and who took its output takes its input.
  bool BypassSomething() {
    const auto tensors = InferShapes(test_.graph);
    for (size_t i = 0; i < test_.graph.nodes.size(); ++i) {
      const Node& node = test_.graph.nodes[i];
      const std::string& to = node.outputs[0];
      if (node.outputs.size() != 1 || IsOutput(to)) continue;
      for (const std::string& from : node.inputs) {
        if (tensors->at(from) != tensors->at(to)) continue;
        TestCase candidate = test_;
        for (Node& other : candidate.graph.nodes) {
          std::replace(other.inputs.begin(), other.inputs.end(), to, from);
        }
        candidate.graph.nodes.erase(candidate.graph.nodes.begin() +
                                    static_cast<std::ptrdiff_t>(i));
        if (Try(std::move(candidate))) return true;
      }
    }
    return false;
  }

  // A constant or an attribute that need not be there.
  bool DropSomePart() {
    for (size_t i = 0; i < test_.graph.nodes.size(); ++i) {
      const Node node = test_.graph.nodes[i];
      for (const auto& [role, name] : node.constants) {
        TestCase candidate = test_;
        candidate.graph.nodes[i].constants.erase(role);
        if (Try(std::move(candidate))) return true;
      }
      for (const auto& [name, value] : node.attributes) {
        TestCase candidate = test_;
        candidate.graph.nodes[i].attributes.erase(name);
        if (InferShapes(candidate.graph).ok() && Try(std::move(candidate))) {
          return true;
        }
      }
    }
    return false;
  }

  bool IsOutput(const std::string& tensor) const {
    return std::any_of(
        test_.graph.outputs.begin(), test_.graph.outputs.end(),
        [&](const auto& output) { return output.name == tensor; });
  }

  TestCase test_;
};

}  // namespace

TestCase Shrink(TestCase test) { return Shrinker(std::move(test)).Run(); }

}  // namespace bqengine::fuzz
