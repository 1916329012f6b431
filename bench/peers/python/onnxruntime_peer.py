"""Times layers in ONNX Runtime: fp32, and int8 by QDQ."""

import onnxruntime

import answers
import measure
import onnx_models


def network(model, inputs, expected):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"]
    )
    binding = session.io_binding()
    name = session.get_outputs()[0].name
    output = onnxruntime.OrtValue.ortvalue_from_numpy(
        session.run(None, {"x": inputs[0]})[0]
    )
    binding.bind_ortvalue_output(name, output)

    def set_input(values):
        binding.bind_ortvalue_input(
            "x", onnxruntime.OrtValue.ortvalue_from_numpy(values)
        )

    return answers.Network(
        set_input=set_input,
        run=lambda: session.run_with_iobinding(binding),
        output=output.numpy,
        inputs=inputs,
        expected=expected,
    )


def column(make_model):
    return lambda layer, count: network(*make_model(layer, count))


if __name__ == "__main__":
    measure.main(
        onnxruntime.__version__,
        {
            "onnxruntime_int8_us": column(onnx_models.int8_model),
            "onnxruntime_fp32_us": column(onnx_models.float_model),
        },
    )
