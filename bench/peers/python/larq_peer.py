"""Times binary convolutions in Larq Compute Engine."""

import importlib.metadata
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq
import larq_compute_engine
import numpy as np
import tensorflow
from larq_compute_engine.tflite.python import interpreter_wrapper_lite

import answers
import measure

# Of batch normalization, Keras' own.
EPSILON = 1e-3


def same_padding(size, layer):
    """TensorFlow's "same": what is odd goes behind the image."""
    reach = layer.dilation * (layer.kernel - 1) + 1
    total = max((-(-size // layer.stride) - 1) * layer.stride + reach - size, 0)
    return total // 2, total - total // 2


def model(layer, count):
    """The network, and a function that answers as it does."""
    random = np.random.default_rng(20250715)
    shape = layer.input_shape(channels_last=True)
    x = inputs = tensorflow.keras.Input(shape[1:], batch_size=layer.batch)
    constants = []
    for _ in range(count):
        # Padding with ones is the one that Larq is fast with.
        convolution = larq.layers.QuantConv2D(
            layer.out,
            layer.kernel,
            strides=layer.stride,
            dilation_rate=layer.dilation,
            groups=layer.groups,
            padding="same",
            pad_values=1.0,
            use_bias=False,
            input_quantizer="ste_sign",
            kernel_quantizer="ste_sign",
        )
        x = convolution(x)
        signs = random.choice(
            np.float32([-1, 1]),
            [layer.kernel, layer.kernel, layer.into // layer.groups, layer.out],
        )
        convolution.set_weights([signs])
        normalization = tensorflow.keras.layers.BatchNormalization(
            scale=False, epsilon=EPSILON
        )
        x = normalization(x)
        # Accumulators are whole numbers: nothing comes close to 0, where the next
        # layer switches.
        beta = random.uniform(0.2, 0.4, layer.out) * random.choice([-1, 1], layer.out)
        beta = beta.astype(np.float32)
        zeros, ones = np.zeros(layer.out), np.ones(layer.out)
        normalization.set_weights([beta, zeros, ones])
        constants.append((signs.transpose(3, 2, 0, 1), beta))

    def expected(values):
        y = np.moveaxis(values, -1, 1)
        for signs, beta in constants:
            y = answers.product(
                layer,
                np.where(y >= 0, 1, -1),
                signs,
                pads=same_padding(layer.height, layer),
                pad_value=1,
            )
            y = y / np.sqrt(1 + EPSILON) + beta.reshape(1, -1, 1, 1)
        # It counts up to K differing bits, multiplies by a rounded factor of 2, and
        # adds a summand that has K in it.
        terms = signs[0].size
        return np.moveaxis(y, 1, -1), 8 * answers.UNIT_ROUNDOFF * (terms + 1)

    return tensorflow.keras.Model(inputs, x), expected


class Runner:
    def __init__(self, flatbuffer, indirect):
        threads, use_reference, use_xnnpack = 1, False, False
        self.interpreter = interpreter_wrapper_lite.LiteInterpreter(
            flatbuffer, threads, use_reference, indirect, use_xnnpack
        )
        self.values = self.outputs = None

    def set_input(self, values):
        self.values = [values]

    def run(self):
        self.outputs = self.interpreter.predict(self.values)

    def output(self):
        return self.outputs[0]


def network(layer, count):
    if layer.is_gemm:
        raise NotImplementedError("Larq Compute Engine has no binary matrix product")
    keras_model, expected = model(layer, count)
    flatbuffer = larq_compute_engine.convert_keras_model(keras_model)
    random = np.random.default_rng(1)
    shape = layer.input_shape(channels_last=True)
    inputs = [random.standard_normal(shape).astype(np.float32) for _ in range(2)]
    # Its two optimized kernels, which on x86 are portable C++: the quicker one.
    runners = [Runner(flatbuffer, indirect) for indirect in (False, True)]
    for runner in runners:
        runner.set_input(inputs[0])
    quicker = min(
        runners,
        key=lambda runner: min(measure.time_us(runner.run, 1) for _ in range(5)),
    )
    return answers.Network(
        set_input=quicker.set_input,
        run=quicker.run,
        output=quicker.output,
        inputs=inputs,
        expected=expected,
    )


if __name__ == "__main__":
    measure.main(
        importlib.metadata.version("larq-compute-engine"), {"larq_binary_us": network}
    )
