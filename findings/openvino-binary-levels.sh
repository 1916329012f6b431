#!/usr/bin/env bash
# OpenVINO 2026.4.1 (CPU): a convolution with weights of -1 and +1 behind a
# FakeQuantize with two levels runs as BinaryConvolution. With levels 0 and 1 its
# answer is exact. With levels -1 and +1, equal bounds on both sides, it is the
# same for every input.
#
# Needs python3 with venv, and PyPI; x86-64. Prints what it saw and exits with 0
# if that is so, with 1 if OpenVINO does something else.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet --disable-pip-version-check \
  openvino==2026.4.1 openvino-telemetry==2025.2.0 numpy==2.4.6

"$work/venv/bin/python" - <<'PYTHON'
import sys

import numpy as np
import openvino
import openvino.opset13 as ops

CHANNELS, SIZE = 64, 16


def right_answer(values, weight):
    """3x3, padded with 0."""
    padded = np.pad(values[0], ((0, 0), (1, 1), (1, 1)))
    answer = np.zeros((CHANNELS, SIZE, SIZE))
    for h in range(3):
        for w in range(3):
            tap = padded[:, h : h + SIZE, w : w + SIZE]
            answer += np.tensordot(weight[:, :, h, w], tap, 1)
    return answer


def run(low, high):
    """Whether BinaryConvolution ran, its answers to two inputs, and the right
    ones."""
    random = np.random.default_rng(1)
    weight = random.choice(np.float32([-1, 1]), (CHANNELS, CHANNELS, 3, 3))
    x = ops.parameter([1, CHANNELS, SIZE, SIZE], np.float32)
    zero = ops.constant(np.float32([0]))
    levels = ops.fake_quantize(
        x, zero, zero, ops.constant(np.float32([low])), ops.constant(np.float32([high])), 2
    )
    y = ops.convolution(levels, ops.constant(weight), [1, 1], [1, 1], [1, 1], [1, 1])
    model = openvino.Model([y], [x])
    compiled = openvino.Core().compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    ran = "BinaryConvolution" in [
        op.get_rt_info()["layerType"].value
        for op in compiled.get_runtime_model().get_ops()
    ]
    answers, right = [], []
    for _ in range(2):
        values = random.standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)
        answers.append(compiled([values])[0][0].copy())
        right.append(right_answer(np.where(values > 0, high, low), weight))
    return ran, answers, right


print("OpenVINO", openvino.__version__)
as_known = openvino.__version__.startswith("2026.4.1-")
for low, high in ((0, 1), (-1, 1)):
    ran, answers, right = run(low, high)
    same = np.array_equal(*answers)
    off = max(np.abs(a - r).max() for a, r in zip(answers, right))
    print(
        f"levels {low} and {high}: BinaryConvolution {'ran' if ran else 'did not run'},",
        f"two random inputs get {'the same answer' if same else 'two answers'},",
        f"off by up to {off:g} of {np.abs(right).max():g}",
    )
    as_known &= ran and (not same and off == 0 if low == 0 else same and off > 0)
sys.exit(0 if as_known else "this is no longer what OpenVINO 2026.4.1 did")
PYTHON
