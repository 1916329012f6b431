"""A layer, several times in a row, as ONNX models."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPENVINO_DOMAIN = "org.openvinotoolkit"


class _Builder:
    """Collects nodes and constants of a chain."""

    def __init__(self, layer):
        self.layer = layer
        self.random = np.random.default_rng(20250715)
        self.nodes, self.constants = [], []
        self.last = "x"

    def constant(self, value):
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def add(self, op, inputs, **attributes):
        """A node on the end of the chain; `inputs` come after that."""
        name = f"y{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op, [self.last, *inputs], [name], name, **attributes)
        )
        self.last = name

    def product(self, inputs):
        layer = self.layer
        if layer.is_gemm:
            self.add("Gemm", inputs, transB=1)
        else:
            self.add(
                "Conv",
                inputs,
                kernel_shape=[layer.kernel] * 2,
                strides=[layer.stride] * 2,
                dilations=[layer.dilation] * 2,
                pads=[layer.pad] * 4,
                group=layer.groups,
            )

    def signs(self):
        layer = self.layer
        shape = [layer.out, layer.into // layer.groups]
        if not layer.is_gemm:
            shape += [layer.kernel] * 2
        return self.random.choice(np.array([-1, 1], np.float32), shape)

    def per_channel(self, low, high):
        return self.random.uniform(low, high, self.layer.out).astype(np.float32)

    def model(self, element_type):
        graph = helper.make_graph(
            self.nodes,
            "layers",
            [
                helper.make_tensor_value_info(
                    "x", element_type, self.layer.input_shape()
                )
            ],
            [helper.make_tensor_value_info(self.last, element_type, None)],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 13), helper.make_opsetid(OPENVINO_DOMAIN, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        return model.SerializeToString()


def float_model(layer, count):
    """Weights with the factors in them, and biases."""
    chain = _Builder(layer)
    for _ in range(count):
        weight = chain.signs()
        factors = chain.per_channel(0.5, 1) / np.sqrt(weight[0].size)
        weight *= factors.reshape([-1] + [1] * (weight.ndim - 1)).astype(np.float32)
        chain.product([chain.constant(weight), chain.constant(chain.per_channel(-1, 1))])
    return chain.model(TensorProto.FLOAT)


def int8_model(layer, count):
    """QuantizeLinear and DequantizeLinear around each layer: uint8 in and out,
    int8 weights with a scale for each output channel, int32 biases."""
    chain = _Builder(layer)
    scale = chain.constant(np.float32(0.05))
    zero = chain.constant(np.uint8(128))
    chain.add("DequantizeLinear", [scale, zero])
    for _ in range(count):
        weight = (chain.signs() * 100).astype(np.int8)
        scales = (chain.per_channel(0.5, 1) / 100 / np.sqrt(weight[0].size)).astype(
            np.float32
        )
        end = chain.last
        inputs = []
        for values, value_scales in (
            (weight, scales),
            (np.zeros(layer.out, np.int32), scales * np.float32(0.05)),
        ):
            chain.last = chain.constant(values)
            chain.add(
                "DequantizeLinear",
                [
                    chain.constant(value_scales),
                    chain.constant(np.zeros(layer.out, values.dtype)),
                ],
                axis=0,
            )
            inputs.append(chain.last)
        chain.last = end
        chain.product(inputs)
        chain.add("QuantizeLinear", [scale, zero])
        chain.add("DequantizeLinear", [scale, zero])
    chain.nodes.pop()
    chain.last = chain.nodes[-1].output[0]
    return chain.model(TensorProto.UINT8)


def openvino_binary_model(layer, count):
    """FakeQuantize with two levels before weights of -1 and +1, which OpenVINO
    turns into its BinaryConvolution; then a factor and a summand."""
    chain = _Builder(layer)
    zero = chain.constant(np.zeros(1, np.float32))
    low = chain.constant(-np.ones(1, np.float32))
    high = chain.constant(np.ones(1, np.float32))
    for _ in range(count):
        chain.add(
            "FakeQuantize", [zero, zero, low, high], domain=OPENVINO_DOMAIN, levels=2
        )
        chain.product([chain.constant(chain.signs())])
        for op, values in (
            ("Mul", chain.per_channel(0.5, 1)),
            ("Add", chain.per_channel(-1, 1)),
        ):
            chain.add(op, [chain.constant(values.reshape(1, -1, 1, 1))])
    return chain.model(TensorProto.FLOAT)
