#!/usr/bin/python3
"""The JSON Schema accepts what the writer wrote and refuses broken models.

Usage: format_schema_test.py model.schema.json sample.json
Exit status 77 (skipped) without Debian's python3-jsonschema.
"""
import copy
import json
import sys

try:
    from jsonschema import Draft202012Validator
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)


def set_at(path, value):
    """Puts a value to a JSON pointer; an absent key is made."""

    def change(model):
        *parents, last = path.split("/")[1:]
        for key in parents:
            model = model[int(key) if isinstance(model, list) else key]
        model[int(last) if isinstance(model, list) else last] = value

    return change


def drop(path):
    def change(model):
        *parents, last = path.split("/")[1:]
        for key in parents:
            model = model[int(key) if isinstance(model, list) else key]
        del model[last]

    return change


def architecture(training):
    """Makes all weights unknown, and says how one node is to be trained."""

    def change(model):
        for key in ("weights", "weights_hash"):
            del model[key]
        model["nodes"][1]["training"] = training

    return change


GOOD = {
    "no optional keys": lambda m: [m.pop(k) for k in (
        "name", "producer", "labels", "weights", "weights_hash")],
    "no layout": drop("/inputs/0/layout"),
    "no preprocessing": drop("/inputs/0/preprocess"),
    "a float as an integer": set_at("/nodes/5/attributes/min", -6),
    "another op": set_at("/nodes/5", {
        "name": "relu", "op": "Relu", "inputs": ["a"], "outputs": ["b"]}),
    "steps behind the affine": set_at("/nodes/4/attributes", {
        "post": "PRelu,Relu"}),
    "floats and bits": set_at("/nodes/4/outputs", ["a", "b"]),
    "an architecture": architecture({
        "quantize": 1, "weights": "abcnet", "rate": "inf", "shifts": [-1, 0.5]}),
    "a model that says nothing of training": set_at("/nodes/1/training", {}),
}

BROKEN = {
    "root": lambda m: m.clear(),
    "format": set_at("/format", "other"),
    "version": set_at("/version", 2),
    "unknown key": set_at("/classes", []),
    "no nodes": drop("/nodes"),
    "empty nodes": set_at("/nodes", []),
    "too many nodes": lambda m: m["nodes"].extend(
        m["nodes"][:1] * (65537 - len(m["nodes"]))),
    "label": set_at("/labels/0", 1),
    "weights in a folder": set_at("/weights", "a/b.safetensors"),
    "weights behind a backslash": set_at("/weights", "a\\b.safetensors"),
    "weights are the parent": set_at("/weights", ".."),
    "hash": set_at("/weights_hash", "md5:0"),
    "hash without weights": drop("/weights"),
    "batch": set_at("/inputs/0/shape/0", 1),
    "no dimensions": set_at("/inputs/0/shape", ["batch"]),
    "nine dimensions": set_at("/inputs/0/shape", ["batch"] + [1] * 8),
    "layout": set_at("/inputs/0/layout", "CHW"),
    "std of zero": set_at("/inputs/0/preprocess/std", [0]),
    "output": set_at("/outputs/0", "logits"),
    "empty constant name": set_at(
        "/constants/", {"type": "float32", "shape": [1], "data": [0]}),
    "reserved constant name": set_at(
        "/constants/__metadata__", {"type": "float32", "shape": [1]}),
    "type": set_at("/constants/fc2.mul/type", "int8"),
    "dimension": set_at("/constants/fc2.mul/shape/0", 0),
    "nan": set_at("/constants/fc2.mul/data/0", "nan"),
    "bipolar 0": set_at("/constants/fc2.weight/data/0", 0),
    "unipolar -1": set_at("/constants/fc1.weight/data", [-1]),
    "empty name": set_at("/nodes/0/name", ""),
    "control character": set_at("/nodes/0/name", "a\nb"),
    "op": set_at("/nodes/0/op", "Guess"),
    "no op": drop("/nodes/0/op"),
    "key of a node": set_at("/nodes/0/comment", "x"),
    "no outputs": set_at("/nodes/0/outputs", []),
    "two outputs": set_at("/nodes/0/outputs", ["a", "b"]),
    "three outputs": set_at("/nodes/4/outputs", ["a", "b", "c"]),
    "step nine": set_at("/nodes/4/constants/post8", "fc2.mul"),
    "inputs": set_at("/nodes/0/inputs", ["a", "b"]),
    "attribute": set_at("/nodes/1/attributes/stride", [1, 1]),
    "attribute's type": set_at("/nodes/1/attributes/strides", 1),
    "missing attribute": drop("/nodes/1/attributes/kernel_shape"),
    "no attributes": drop("/nodes/1/attributes"),
    "role": set_at("/nodes/4/constants/factor", "fc2.mul"),
    "missing role": drop("/nodes/4/constants/weight"),
    "a trained model to be trained": set_at(
        "/nodes/1/training", {"quantize": 1}),
    "an inline model to be trained": lambda m: (
        architecture({"quantize": 1})(m),
        [c.setdefault("data", [1]) for c in m["constants"].values()]),
    "an unnamed value of training": architecture({"": 1}),
    "a boolean of training": architecture({"quantize": True}),
    "a text in a list of training": architecture({"shifts": ["none"]}),
}


def main():
    schema_path, sample_path = sys.argv[1:]
    with open(schema_path, encoding="utf-8") as file:
        schema = json.load(file)
    with open(sample_path, encoding="utf-8") as file:
        sample = json.load(file)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)

    failures = [f"the sample: {e.json_path}: {e.message}"
                for e in validator.iter_errors(sample)]
    for name, change in GOOD.items():
        model = copy.deepcopy(sample)
        change(model)
        failures += [f"good, but refused: {name}: {e.json_path}: {e.message}"
                     for e in validator.iter_errors(model)]
    for name, change in BROKEN.items():
        model = copy.deepcopy(sample)
        change(model)
        if validator.is_valid(model):
            failures.append(f"broken, but accepted: {name}")
    for failure in failures:
        print(failure)
    print(f"{1 + len(GOOD)} good models, {len(BROKEN)} broken ones, "
          f"{len(failures)} failures")
    return 1 if failures else 0


sys.exit(main())
