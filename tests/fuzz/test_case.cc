#include "tests/fuzz/test_case.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include "bqengine/model.h"

namespace bqengine::fuzz {
namespace {

template <typename Values>
std::string ListText(const Values& values) {
  std::ostringstream text;
  text.precision(9);
  text << "[";
  constexpr size_t kMost = 8;
  for (size_t i = 0; i < values.size() && i < kMost; ++i) {
    text << (i == 0 ? "" : ", ") << values[i];
  }
  text << (values.size() > kMost ? ", ...]" : "]");
  return text.str();
}

std::string AttributeText(const Attribute& attribute) {
  if (const auto* ints = std::get_if<std::vector<int64_t>>(&attribute)) {
    return ListText(*ints);
  }
  if (const auto* floats = std::get_if<std::vector<float>>(&attribute)) {
    return ListText(*floats);
  }
  if (const auto* text = std::get_if<std::string>(&attribute)) return *text;
  if (const auto* number = std::get_if<int64_t>(&attribute)) {
    return std::to_string(*number);
  }
  return ListText(std::vector<float>{std::get<float>(attribute)});
}

std::string InfoText(const TensorInfo& info) {
  return std::string(DataTypeName(info.type)) + ListText(info.shape);
}

// The nodes of a graph without cycles, each behind what it takes.
std::vector<Node> InOrder(const Graph& graph) {
  std::set<std::string> known;
  for (const GraphInput& input : graph.inputs) known.insert(input.name);
  std::vector<Node> ordered, left = graph.nodes;
  while (!left.empty()) {
    const auto ready =
        std::find_if(left.begin(), left.end(), [&](const Node& n) {
          return std::all_of(
              n.inputs.begin(), n.inputs.end(),
              [&](const auto& name) { return known.contains(name); });
        });
    if (ready == left.end()) break;
    known.insert(ready->outputs.begin(), ready->outputs.end());
    ordered.push_back(*ready);
    left.erase(ready);
  }
  return ordered;
}

// NumPy's format, version 1.0: padded so that the data is aligned to 64 bytes.
std::string NpyHeader(const char* type, const Shape& shape) {
  std::string header = std::string("{'descr': '") + type +
                       "', 'fortran_order': False, 'shape': (";
  for (int64_t dim : shape) header += std::to_string(dim) + ",";
  header += "), }";
  while ((10 + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string start("\x93NUMPY\x01\x00", 8);
  start += static_cast<char>(header.size() & 0xFF);
  start += static_cast<char>(header.size() >> 8);
  return start + header;
}

}  // namespace

std::string GraphText(const Graph& graph) {
  std::ostringstream text;
  for (const GraphInput& input : graph.inputs) {
    text << "input " << input.name << ": " << InfoText(input.info) << "\n";
  }
  for (const Node& node : InOrder(graph)) {
    for (size_t i = 0; i < node.outputs.size(); ++i) {
      text << (i == 0 ? "" : ", ") << node.outputs[i];
    }
    text << " = " << node.op << "(";
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      text << (i == 0 ? "" : ", ") << node.inputs[i];
    }
    text << ")";
    for (const auto& [name, value] : node.attributes) {
      text << " " << name << "=" << AttributeText(value);
    }
    text << "\n";
    for (const auto& [role, name] : node.constants) {
      const Constant& constant = graph.constants.at(name);
      text << "    " << role << ": " << InfoText(constant.info());
      if (constant.type() == DataType::kFloat32) {
        text << " " << ListText(constant.floats());
      }
      text << "\n";
    }
  }
  for (const GraphOutput& output : graph.outputs) {
    text << "output " << output.name << "\n";
  }
  return text.str();
}

Status Save(const TestCase& test, const std::string& path) {
  if (Status s = WriteGraph(test.graph, path); !s.ok()) return s;
  for (size_t i = 0; i < test.inputs.size(); ++i) {
    const GraphInput& input = test.graph.inputs[i];
    Shape shape = input.info.shape;
    shape[0] = test.batch;
    const char* type = "<f4";
    if (IsBits(input.info.type)) {
      type = "<u8";
      shape.back() = (shape.back() + 63) / 64;
    } else if (IsInteger(input.info.type)) {
      type = input.info.type == DataType::kInt8 ? "|i1" : "|u1";
    }
    const std::string name = path + "." + input.name + ".npy";
    std::ofstream file(name, std::ios::binary);
    const std::string header = NpyHeader(type, shape);
    file.write(header.data(), static_cast<std::streamsize>(header.size()));
    file.write(reinterpret_cast<const char*>(test.inputs[i].data()),
               static_cast<std::streamsize>(test.inputs[i].size()));
    if (!file.flush()) {
      return Status(StatusCode::kIo, "cannot write " + name);
    }
  }
  return Status();
}

}  // namespace bqengine::fuzz
