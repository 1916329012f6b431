"""Times layers in OpenVINO: fp32, int8 by QDQ, and its binary convolution."""

import resource
import statistics

import numpy as np
import openvino

import answers
import measure
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
BINARY_OP = "BinaryConvolution"
# Of runs with a clock around every node.
PROFILED_RUNS = 101


def compile_model(model, settings=SETTINGS):
    return core.compile_model(core.read_model(model), "CPU", settings)


def set_input(request, values):
    request.set_input_tensor(openvino.Tensor(np.ascontiguousarray(values)))


def network(compiled, inputs, expected):
    request = compiled.create_infer_request()
    return answers.Network(
        set_input=lambda values: set_input(request, values),
        run=request.infer,
        output=lambda: request.get_output_tensor(0).data,
        inputs=inputs,
        expected=expected,
    )


def column(make_model):
    def make(layer, count):
        model, inputs, expected = make_model(layer, count)
        return network(compile_model(model), inputs, expected)

    return make


def binary(layer, count):
    if layer.is_gemm:
        raise NotImplementedError("OpenVINO has no binary matrix product")
    model, inputs, expected = onnx_models.openvino_binary_model(layer, count)
    compiled = compile_model(model)
    ops = [
        op.get_rt_info()["layerType"].value
        for op in compiled.get_runtime_model().get_ops()
    ]
    if BINARY_OP not in ops:
        raise NotImplementedError(f"OpenVINO makes no {BINARY_OP} of it")
    return network(compiled, inputs, expected)


def binary_parts(layer):
    """The binary convolution alone, by OpenVINO's own clock; what else the layer
    takes is the way from floats to its bits."""
    medians = {}
    for count in measure.counts(layer):
        model, inputs, _ = onnx_models.openvino_binary_model(layer, count)
        request = compile_model(model, SETTINGS | {"PERF_COUNT": True})
        request = request.create_infer_request()
        set_input(request, inputs[0])
        medians[count] = statistics.median(product_us(request))
    return {"openvino_binary_product_us": measure.layer_us(medians)}


def product_us(request):
    """Its clock is that on the wall: runs in which the system took the core away
    do not count, unless there were no others."""
    samples, interrupted = [], []
    for _ in range(PROFILED_RUNS):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        request.infer()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw
        us = sum(
            node.real_time.total_seconds() * 1e6
            for node in request.get_profiling_info()
            if node.node_type == BINARY_OP
        )
        (samples if after == before else interrupted).append(us)
    return samples or interrupted


if __name__ == "__main__":
    measure.main(
        openvino.__version__.split("-")[0],
        {
            "openvino_binary_us": binary,
            "openvino_int8_us": column(onnx_models.int8_model),
            "openvino_fp32_us": column(onnx_models.float_model),
        },
        parts={"openvino_binary_us": binary_parts},
    )
