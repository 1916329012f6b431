"""Times layers in ONNX Runtime: fp32, and int8 by QDQ."""

import numpy as np
import onnxruntime

import layers
import onnx_models


def runner(model, shape, element_type):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"]
    )
    values = np.random.default_rng(1).integers(0, 255, shape).astype(element_type)
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(values))
    output = session.run(None, {"x": values})[0]
    binding.bind_ortvalue_output(
        session.get_outputs()[0].name,
        onnxruntime.OrtValue.ortvalue_from_numpy(output),
    )
    return lambda: session.run_with_iobinding(binding)


def fp32(layer):
    return lambda count: runner(
        onnx_models.float_model(layer, count), layer.input_shape(), np.float32
    )


def int8(layer):
    return lambda count: runner(
        onnx_models.int8_model(layer, count), layer.input_shape(), np.uint8
    )


layers.main(
    onnxruntime.__version__,
    {"onnxruntime_int8_us": int8, "onnxruntime_fp32_us": fp32},
)
