#!/usr/bin/python3
"""Writes the architectures of this folder, and a table of what they hold.

Usage: make.py           write the files beside this script
       make.py --check   write nothing; exit status 1 if a file differs

To add one: a function below, and its call in main(). Architectures hold float
ops only; what becomes binary, and how, is bq-train's matter (../README.md).
The files are as bqengine itself writes them, which a test makes sure of.
"""
import json
import math
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
CLASSES = 10
LINE_WIDTH = 80


class Network:
    """A network that grows by a layer with each call.

    Every layer takes what the one before it made, unless told otherwise, and
    returns the name of what it makes, which is its own name.
    """

    def __init__(self, name, shape):
        self.name = name
        self.shapes = {"input": shape}  # of tensors, without the batch
        self.last = "input"
        self.constants = {}
        self.nodes = []
        self.multiply_adds = 0
        self.weights = 0

    def layer(self, op, name, shape, *, x=None, inputs=None, constants=None,
              attributes=None, training=None):
        node = {"name": name, "op": op, "inputs": inputs or [x or self.last],
                "outputs": [name]}
        if constants:
            node["constants"] = {}
        for role, dims in sorted((constants or {}).items()):
            node["constants"][role] = f"{name}.{role}"
            self.constants[f"{name}.{role}"] = {"type": "float32",
                                                "shape": dims}
        if attributes:
            node["attributes"] = dict(sorted(attributes.items()))
        if training:
            node["training"] = dict(sorted(training.items()))
        self.nodes.append(node)
        self.shapes[name] = shape
        self.last = name
        return name

    def shape(self, x=None):
        return self.shapes[x or self.last]

    def product(self, op, name, out, weight, bias, **options):
        """A convolution or a matrix product; `weight` is its shape."""
        constants = {"weight": weight}
        if bias:
            constants["bias"] = [out[-1]]
        self.weights += math.prod(weight)
        self.multiply_adds += math.prod(out) * math.prod(weight[1:])
        return self.layer(op, name, out, constants=constants, **options)

    def conv(self, name, channels, kernel, *, stride=1, padded=True, x=None,
             training=None):
        """An odd kernel; padded so that a stride of 1 keeps the size, or not."""
        height, width, depth = self.shape(x)
        attributes = {"kernel_shape": [kernel, kernel]}
        if padded and kernel > 1:
            attributes["pads"] = [kernel // 2] * 4
        if stride > 1:
            attributes["strides"] = [stride, stride]
        lost = 0 if padded else kernel - 1
        out = [-(-(height - lost) // stride), -(-(width - lost) // stride),
               channels]
        return self.product("Conv", name, out,
                            [channels, kernel, kernel, depth], False, x=x,
                            attributes=attributes, training=training)

    def gemm(self, name, units, *, bias=False, training=None):
        return self.product("Gemm", name, [units], [units, *self.shape()],
                            bias, training=training)

    def batch_norm(self, name):
        channels = [self.shape()[-1]]
        roles = ("scale", "bias", "mean", "var")
        return self.layer("BatchNormalization", name, self.shape(),
                          constants={role: channels for role in roles})

    def relu(self, name):
        return self.layer("Relu", name, self.shape())

    def prelu(self, name):
        return self.layer("PRelu", name, self.shape(),
                          constants={"slope": [self.shape()[-1]]})

    def shift(self, name):
        """Adds a trained value to each channel."""
        return self.layer("Add", name, self.shape(),
                          constants={"value": [self.shape()[-1]]})

    def add(self, name, a, b):
        return self.layer("Add", name, self.shape(a), inputs=[a, b])

    def pool(self, op, name, *, x=None):
        """2x2, stride 2."""
        height, width, depth = self.shape(x)
        return self.layer(op, name, [height // 2, width // 2, depth], x=x,
                          attributes={"kernel_shape": [2, 2],
                                      "strides": [2, 2]})

    def global_average_pool(self, name):
        return self.layer("GlobalAveragePool", name, [1, 1, self.shape()[-1]])

    def flatten(self, name):
        return self.layer("Flatten", name, [math.prod(self.shape())])

    def text(self):
        """The file. Pixels become floats from -1 to 1."""
        return pretty({
            "format": "bqengine-model",
            "version": 1,
            "name": self.name,
            "producer": "",
            "inputs": [{
                "name": "input",
                "type": "float32",
                "shape": ["batch", *self.shapes["input"]],
                "layout": "NHWC",
                "preprocess": {"scale": 0.003921569, "mean": [0.5],
                               "std": [0.5]},
            }],
            "outputs": [{"name": self.last, "layout": "NHWC"}],
            "constants": dict(sorted(self.constants.items())),
            "nodes": self.nodes,
        }) + "\n"


# ----------------------------------------------------------- the architectures

def mlp():
    """BinaryConnect's network for MNIST, all of its layers binary."""
    net = Network("mlp-3x1024", [28, 28, 1])
    binary = {"quantize": 1}
    net.flatten("flat")
    for i in (1, 2, 3):
        net.gemm(f"fc{i}", 1024, training=binary)
        net.batch_norm(f"bn{i}")
        net.relu(f"relu{i}")
    net.gemm("fc4", CLASSES, training=binary)
    net.batch_norm("logits")
    return net


# In the two below, MaxPool stands right behind its convolution, as in
# BinaryNet: the maximum of sums says more than that of their signs.

def lenet():
    net = Network("lenet", [28, 28, 1])
    for i, channels in ((1, 32), (2, 64)):
        net.conv(f"conv{i}", channels, 5, padded=False)
        net.pool("MaxPool", f"pool{i}")
        net.batch_norm(f"bn{i}")
        net.relu(f"relu{i}")
    net.flatten("flat")
    net.gemm("fc1", 512)
    net.batch_norm("bn3")
    net.relu("relu3")
    net.gemm("logits", CLASSES, bias=True)
    return net


def vgg():
    """BinaryNet's network for CIFAR-10."""
    net = Network("vgg", [32, 32, 3])
    for i, channels in enumerate((128, 128, 256, 256, 512, 512), start=1):
        net.conv(f"conv{i}", channels, 3)
        if i % 2 == 0:
            net.pool("MaxPool", f"pool{i}")
        net.batch_norm(f"bn{i}")
        net.relu(f"relu{i}")
    net.flatten("flat")
    for i in (7, 8):
        net.gemm(f"fc{i}", 1024)
        net.batch_norm(f"bn{i}")
        net.relu(f"relu{i}")
    net.gemm("fc9", CLASSES)
    net.batch_norm("logits")
    return net


def bireal():
    """Shortcuts around each binary convolution (Bi-Real net), and trained
    shifts of the signs and of a PRelu (ReActNet)."""
    net = Network("bireal", [32, 32, 3])
    net.conv("stem.conv", 32, 3)
    x = net.batch_norm("stem.bn")
    for i, channels in enumerate((32, 32, 64, 64, 128, 128), start=1):
        x = bireal_block(net, f"block{i}", x, channels)
    net.global_average_pool("pool")
    net.flatten("flat")
    net.gemm("logits", CLASSES, bias=True)
    return net


def bireal_block(net, name, x, channels):
    """Halves the picture where it has more channels than `x`."""
    halve = channels != net.shape(x)[-1]
    shortcut = x
    if halve:
        net.pool("AveragePool", f"{name}.shortcut.pool", x=x)
        net.conv(f"{name}.shortcut.conv", channels, 1,
                 training={"quantize": 0})
        shortcut = net.batch_norm(f"{name}.shortcut.bn")
    net.last = x
    net.shift(f"{name}.sign_shift")
    net.conv(f"{name}.conv", channels, 3, stride=2 if halve else 1)
    main = net.batch_norm(f"{name}.bn")
    net.add(f"{name}.sum", main, shortcut)
    net.shift(f"{name}.shift_in")
    net.prelu(f"{name}.prelu")
    return net.shift(f"{name}.shift_out")


# -------------------------------------------------------- JSON as bqengine's

def one_line(value):
    if isinstance(value, dict):
        members = (f"{json.dumps(k)}: {one_line(v)}" for k, v in value.items())
        return "{ " + ", ".join(members) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(one_line, value)) + "]"
    return json.dumps(value)


def depth(value):
    """Containers within containers within `value`; -1 for a scalar."""
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return -1
    return max([0] + [1 + depth(child) for child in value])


def pretty(value, indent=0, used=0):
    """`used`: characters of the line before the value."""
    is_list = isinstance(value, list)
    line = one_line(value)
    if depth(value) <= (0 if is_list else 1) and used + len(line) < LINE_WIDTH:
        return line
    members = ([("", child) for child in value] if is_list else
               [(json.dumps(k) + ": ", child) for k, child in value.items()])
    inner = indent + 2
    lines = [" " * inner + prefix + pretty(child, inner, inner + len(prefix))
             for prefix, child in members]
    return (("[" if is_list else "{") + "\n" + ",\n".join(lines) + "\n" +
            " " * indent + ("]" if is_list else "}"))


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    check = sys.argv[1:] == ["--check"]
    differ = []
    print("| name | input | multiply-adds | weights |\n| --- | --- | --- | --- |")
    for net in (mlp(), lenet(), vgg(), bireal()):
        file = FOLDER / f"{net.name}.json"
        if check and (not file.is_file() or file.read_text() != net.text()):
            differ.append(file.name)
        elif not check:
            file.write_text(net.text())
        size = "x".join(map(str, net.shapes["input"]))
        print(f"| {net.name} | {size} | {net.multiply_adds:,} | "
              f"{net.weights:,} |")
    if differ:
        sys.exit(f"not what make.py writes: {', '.join(differ)}")


if __name__ == "__main__":
    main()
