// engine/schema/model.schema.json says the same about ops as the table of ops.
// What it says about the rest is tested by format_schema_test.py.
#include <gtest/gtest.h>

#include <cmath>

#include "format/json.h"
#include "format_test_util.h"
#include "graph/op_schema.h"

namespace bqengine {
namespace {

using json::Value;

struct TypeAndDefault {
  const char* type;
  Value value;
};

template <typename T>
Value ToArray(const std::vector<T>& items) {
  Value array = Value::MakeArray();
  for (const T& item : items) array.Append(item);
  return array;
}

struct AttributeVisitor {
  TypeAndDefault operator()(int64_t v) const { return {"int", v}; }
  TypeAndDefault operator()(float v) const {
    if (std::isinf(v)) return {"float", v > 0 ? "inf" : "-inf"};
    return {"float", v};
  }
  TypeAndDefault operator()(const std::string& v) const {
    return {"string", v};
  }
  TypeAndDefault operator()(const std::vector<int64_t>& v) const {
    return {"ints", ToArray(v)};
  }
  TypeAndDefault operator()(const std::vector<float>& v) const {
    return {"floats", ToArray(v)};
  }
};

Value Reference(const std::string& definition) {
  Value object = Value::MakeObject();
  object.Add("$ref", "#/$defs/" + definition);
  return object;
}

// An object with exactly these members.
Value Closed(Value properties, const std::vector<std::string>& required) {
  Value object = Value::MakeObject();
  object.Add("properties", std::move(properties));
  object.Add("additionalProperties", Value::Bool(false));
  if (!required.empty()) object.Add("required", ToArray(required));
  return object;
}

// What #/$defs/ops must hold for an op, in this order of keys.
Value ExpectedOp(const OpSchema& op) {
  Value inputs = Value::MakeObject();
  inputs.Add("minItems", int64_t{op.min_inputs});
  if (op.max_inputs >= 0) inputs.Add("maxItems", int64_t{op.max_inputs});

  Value roles = Value::MakeObject();
  std::vector<std::string> required_roles;
  for (const ConstantSpec& spec : op.constants) {
    roles.Add(spec.role, Reference("name"));
    if (spec.required) required_roles.push_back(spec.role);
  }
  Value attributes = Value::MakeObject();
  std::vector<std::string> required_attributes;
  for (const AttributeSpec& spec : op.attributes) {
    TypeAndDefault known = std::visit(AttributeVisitor(), spec.default_value);
    Value attribute = Reference(known.type);
    if (spec.required) {
      required_attributes.push_back(spec.name);
    } else {
      attribute.Add("default", std::move(known.value));
    }
    attributes.Add(spec.name, std::move(attribute));
  }
  Value properties = Value::MakeObject();
  properties.Add("inputs", std::move(inputs));
  if (op.infer_second == nullptr) {
    Value outputs = Value::MakeObject();
    outputs.Add("maxItems", int64_t{1});
    properties.Add("outputs", std::move(outputs));
  }
  properties.Add("constants", Closed(std::move(roles), required_roles));
  properties.Add("attributes",
                 Closed(std::move(attributes), required_attributes));

  std::vector<std::string> required;
  if (!required_roles.empty()) required.push_back("constants");
  if (!required_attributes.empty()) required.push_back("attributes");
  Value object = Value::MakeObject();
  object.Add("properties", std::move(properties));
  if (!required.empty()) object.Add("required", ToArray(required));
  return object;
}

// What stands in #/$defs/node/allOf for an op.
Value ExpectedBranch(const OpSchema& op) {
  Value name = Value::MakeObject();
  name.Add("const", op.name);
  Value properties = Value::MakeObject();
  properties.Add("op", std::move(name));
  Value condition = Value::MakeObject();
  condition.Add("properties", std::move(properties));
  condition.Add("required", ToArray(std::vector<std::string>{"op"}));
  Value branch = Value::MakeObject();
  branch.Add("if", std::move(condition));
  branch.Add("then", Reference("ops/" + std::string(op.name)));
  return branch;
}

TEST(Schema, AgreesWithTheTableOfOps) {
  Value ops = Value::MakeObject();
  Value names = Value::MakeArray();
  Value branches = Value::MakeArray();
  for (const OpSchema& op : OpSchemas()) {
    ops.Add(op.name, ExpectedOp(op));
    names.Append(op.name);
    branches.Append(ExpectedBranch(op));
  }
  json::Document document("model.schema.json", ReadBytes(BQE_SCHEMA));
  const json::Cursor definitions = document.root()["$defs"];
  const json::Cursor node = definitions["node"];
  ASSERT_TRUE(document.ok()) << document.status().message();
  EXPECT_EQ(Pretty(node["properties"]["op"]["enum"].value()), Pretty(names));
  EXPECT_EQ(Pretty(node["allOf"].value()), Pretty(branches));
  EXPECT_EQ(Pretty(definitions["ops"].value()), Pretty(ops));
  EXPECT_TRUE(document.ok()) << document.status().message();
}

}  // namespace
}  // namespace bqengine
