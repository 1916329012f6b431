"""A layer, several times in a row, as ONNX models, with what they answer.

Each function returns the model, two inputs, and the right answer to one (see
answers.Network).
"""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import answers

OPENVINO_DOMAIN = "org.openvinotoolkit"
# Of the weights of int8. Sums of two products of such weights and uint8 stay
# within 16 bits, where processors without VNNI keep them.
INT8_WEIGHT = 64


class _Builder:
    """Collects nodes and constants of a chain, and what they compute."""

    def __init__(self, layer):
        self.layer = layer
        self.random = np.random.default_rng(20250715)
        self.nodes, self.constants = [], []
        self.last = "x"
        # Functions of (values, standard deviation of their rounding errors, or
        # None where they are exact) that return such a pair.
        self.steps = []

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

    def channels(self, values):
        """One value for each output channel, to go with an output."""
        return values.reshape([1, -1] + [1] * (0 if self.layer.is_gemm else 2))

    def weight_channels(self, values):
        return values.reshape([-1] + [1] * (1 if self.layer.is_gemm else 3))

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

    def expected(self, x):
        values, error = np.asarray(x, np.float64), None
        for step in self.steps:
            values, error = step(values, error)
        return values, 0.0 if error is None else answers.SURE * error

    def inputs(self, make):
        """Two of them; make(random, shape)."""
        random = np.random.default_rng(1)
        return [make(random, self.layer.input_shape()) for _ in range(2)]


def _normal(random, shape):
    return random.standard_normal(shape).astype(np.float32)


def float_model(layer, count):
    """Weights with the factors in them, and biases."""
    chain = _Builder(layer)
    for _ in range(count):
        weight = chain.signs()
        factors = chain.random.uniform(0.5, 1, layer.out) / np.sqrt(weight[0].size)
        weight *= chain.weight_channels(factors.astype(np.float32))
        bias = chain.random.uniform(-1, 1, layer.out).astype(np.float32)
        chain.product([chain.constant(weight), chain.constant(bias)])

        def step(x, error, weight=weight, bias=chain.channels(bias)):
            y = answers.product(layer, x, weight) + bias
            # And the summand.
            rounding = answers.UNIT_ROUNDOFF * np.abs(y)
            return y, answers.float_error(layer, x, error, weight) + rounding

        chain.steps.append(step)
    return chain.model(TensorProto.FLOAT), chain.inputs(_normal), chain.expected


def int8_model(layer, count):
    """QuantizeLinear and DequantizeLinear around each layer: uint8 in and out,
    int8 weights with a scale for each output channel, int32 biases."""
    chain = _Builder(layer)
    scale, zero_point = np.float32(1 / 16), np.uint8(128)
    scale_name, zero_name = chain.constant(scale), chain.constant(zero_point)
    chain.add("DequantizeLinear", [scale_name, zero_name])
    for _ in range(count):
        signs = chain.signs()
        # Accumulators are multiples of INT8_WEIGHT, and what divides them is odd:
        # no result lies halfway between two integers, nor close to there, and
        # every engine has to round it to the same.
        root = np.sqrt(signs[0].size)
        divisors = 2 * chain.random.integers(int(root / 2), int(root) + 1, layer.out) + 1
        scales = (1 / (INT8_WEIGHT * divisors)).astype(np.float32)
        summands = chain.random.integers(-100, 100, layer.out, endpoint=True)
        end = chain.last
        inputs = []
        for values, value_scales in (
            ((signs * INT8_WEIGHT).astype(np.int8), scales),
            ((summands * INT8_WEIGHT).astype(np.int32), scales * scale),
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
        chain.add("QuantizeLinear", [scale_name, zero_name])
        chain.add("DequantizeLinear", [scale_name, zero_name])

        def step(
            x,
            _,
            signs=signs,
            summands=chain.channels(summands),
            divisors=chain.channels(divisors),
        ):
            sums = answers.product(layer, x - zero_point, signs) + summands
            return np.clip(np.rint(sums / divisors) + zero_point, 0, 255), None

        chain.steps.append(step)
    chain.nodes.pop()
    chain.last = chain.nodes[-1].output[0]
    inputs = chain.inputs(
        lambda random, shape: random.integers(0, 256, shape).astype(np.uint8)
    )
    return chain.model(TensorProto.UINT8), inputs, chain.expected


def openvino_binary_model(layer, count):
    """FakeQuantize to 0 and 1 before weights of -1 and +1, which OpenVINO turns
    into its BinaryConvolution; then a factor and a summand. (It does so with
    -1 and +1, too, and gets another result: findings/openvino-binary-levels.sh.)"""
    chain = _Builder(layer)
    zero = chain.constant(np.zeros(1, np.float32))
    one = chain.constant(np.ones(1, np.float32))
    for _ in range(count):
        chain.add(
            "FakeQuantize", [zero, zero, zero, one], domain=OPENVINO_DOMAIN, levels=2
        )
        signs = chain.signs()
        chain.product([chain.constant(signs)])
        # Nothing is rounded, and nothing is 0, where the next layer switches.
        mul = chain.channels(chain.random.choice(np.float32([0.5, 1, 2]), layer.out))
        summands = chain.random.integers(-20, 20, layer.out, endpoint=True)
        add = chain.channels(summands.astype(np.float32) + np.float32(0.25))
        chain.add("Mul", [chain.constant(mul)])
        chain.add("Add", [chain.constant(add)])

        def step(x, _, signs=signs, mul=mul, add=add):
            return answers.product(layer, x > 0, signs) * mul + add, None

        chain.steps.append(step)
    return chain.model(TensorProto.FLOAT), chain.inputs(_normal), chain.expected
