"""Times layers in OpenVINO: fp32, int8 by QDQ, and its binary convolution."""

import numpy as np
import openvino

import layers
import onnx_models

core = openvino.Core()
# INFERENCE_PRECISION_HINT: by default it computes fp32 models in bf16 where the
# processor has AMX.
SETTINGS = {
    "INFERENCE_NUM_THREADS": 1,
    "NUM_STREAMS": 1,
    "PERFORMANCE_HINT": "LATENCY",
    "INFERENCE_PRECISION_HINT": "f32",
}


def runner(model, shape, element_type, expected_op=None):
    compiled = core.compile_model(core.read_model(model), "CPU", SETTINGS)
    if expected_op is not None:
        ops = [
            op.get_rt_info()["layerType"].value
            for op in compiled.get_runtime_model().get_ops()
        ]
        if expected_op not in ops:
            raise NotImplementedError(f"OpenVINO makes no {expected_op} of it")
    request = compiled.create_infer_request()
    values = np.random.default_rng(1).integers(0, 255, shape)
    if element_type == np.float32:
        values = values - 127.5
    request.set_input_tensor(openvino.Tensor(values.astype(element_type)))
    return request.infer


def fp32(layer):
    return lambda count: runner(
        onnx_models.float_model(layer, count), layer.input_shape(), np.float32
    )


def int8(layer):
    return lambda count: runner(
        onnx_models.int8_model(layer, count), layer.input_shape(), np.uint8
    )


def binary(layer):
    if layer.is_gemm:
        raise NotImplementedError("OpenVINO has no binary matrix product")
    return lambda count: runner(
        onnx_models.openvino_binary_model(layer, count),
        layer.input_shape(),
        np.float32,
        "BinaryConvolution",
    )


layers.main(
    openvino.__version__,
    {
        "openvino_binary_us": binary,
        "openvino_int8_us": int8,
        "openvino_fp32_us": fp32,
    },
)
