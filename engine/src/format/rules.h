// What the reader demands and the writer therefore keeps to.
#ifndef ENGINE_SRC_FORMAT_RULES_H_
#define ENGINE_SRC_FORMAT_RULES_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "bqengine/graph.h"

namespace bqengine {

inline constexpr char kFormatName[] = "bqengine-model";
inline constexpr int64_t kFormatVersion = 1;
inline constexpr char kJsonExtension[] = ".json";
inline constexpr char kWeightsExtension[] = ".safetensors";
inline constexpr char kMetadataKey[] = "__metadata__";  // no tensor's name
inline constexpr char kHashPrefix[] = "fnv1a64:";

// Graphs are small; what is large belongs into the other file. Parsing takes up
// to 30 times the text's memory, so this bounds memory and time as well.
inline constexpr size_t kMaxJsonBytes = size_t{16} << 20;

// Some checks and passes look at all nodes again for each; real networks have
// some thousands.
inline constexpr size_t kMaxNodes = 65536;

// Names end up in messages and in other programs' tables.
inline constexpr size_t kMaxNameBytes = 1024;

// Constants of more elements go to the weights file. A line of JSON holds so
// many, and a scale for each base or a threshold for a layer stays readable.
inline constexpr int64_t kMaxInlineElements = 16;

// What is wrong with a name or another text, for a message; empty if nothing.
std::string TextProblem(const std::string& text);
std::string NameProblem(const std::string& name);
std::string ConstantNameProblem(const std::string& name);
// Precondition: more than kMaxNodes.
std::string NodeCountProblem(size_t count);

// As a constant stands in a safetensors file: bits are words there.
Shape StoredShape(const TensorInfo& info);
const char* StoredType(DataType type);

}  // namespace bqengine

#endif  // ENGINE_SRC_FORMAT_RULES_H_
