"""Times binary convolutions in Larq Compute Engine."""

import importlib.metadata
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import larq
import larq_compute_engine
import numpy as np
import tensorflow
from larq_compute_engine.tflite.python import interpreter_wrapper_lite

import layers


def network(layer, count):
    shape = layer.input_shape(channels_last=True)
    x = inputs = tensorflow.keras.Input(shape[1:], batch_size=layer.batch)
    for _ in range(count):
        # Padding with ones is the one that Larq is fast with.
        x = larq.layers.QuantConv2D(
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
            kernel_initializer="glorot_normal",
        )(x)
        x = tensorflow.keras.layers.BatchNormalization(
            beta_initializer="random_normal", scale=False
        )(x)
    return tensorflow.keras.Model(inputs, x)


def runner(layer, count):
    flatbuffer = larq_compute_engine.convert_keras_model(network(layer, count))
    values = np.random.default_rng(1).standard_normal(
        layer.input_shape(channels_last=True)
    )
    values = values.astype(np.float32)
    # Its two optimized kernels, which on x86 are portable C++: the quicker one.
    runs = []
    for indirect in (False, True):
        threads, use_reference, use_xnnpack = 1, False, False
        interpreter = interpreter_wrapper_lite.LiteInterpreter(
            flatbuffer, threads, use_reference, indirect, use_xnnpack
        )
        runs.append(lambda interpreter=interpreter: interpreter.predict([values]))
    return min(runs, key=lambda run: min(layers.time_us(run, 1) for _ in range(5)))


def binary(layer):
    if layer.is_gemm:
        raise NotImplementedError("Larq Compute Engine has no binary matrix product")
    return lambda count: runner(layer, count)


layers.main(
    importlib.metadata.version("larq-compute-engine"), {"larq_binary_us": binary}
)
