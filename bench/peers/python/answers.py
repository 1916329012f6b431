"""What networks of one layer or more must answer, by NumPy, and whether they do."""

import dataclasses
from typing import Callable

import numpy as np

# Of sums in float32: rounding to nearest.
UNIT_ROUNDOFF = 2.0**-24


@dataclasses.dataclass
class Network:
    """A network in an engine. What is timed (`run`) is what was verified."""

    set_input: Callable[[np.ndarray], None]  # of the following runs
    run: Callable[[], None]
    output: Callable[[], np.ndarray]  # of the last run
    # Two: who answers without looking at the input is wrong on one of them.
    inputs: list[np.ndarray]
    # The right answer, and how far each value may be off.
    expected: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | float]]


class WrongAnswer(Exception):
    pass


def verify(network):
    """Runs the network on all its inputs, the first one last, and returns the
    largest difference from the right answer, and what that value may be off by.
    Raises WrongAnswer."""
    largest = (0.0, 0.0)
    for number, values in reversed(list(enumerate(network.inputs, 1))):
        network.set_input(values)
        network.run()
        output = np.array(network.output(), np.float64)
        expected, allowed = network.expected(values)
        if output.shape != expected.shape:
            raise WrongAnswer(
                f"answer differs (input {number}: {output.shape}, not {expected.shape})"
            )
        difference = np.abs(output - expected)
        allowed = np.broadcast_to(allowed, difference.shape)
        wrong = np.flatnonzero(~(difference <= allowed))  # NaN is wrong, too
        if wrong.size:
            first = wrong[0]
            raise WrongAnswer(
                f"answer differs (input {number}: {wrong.size} of {output.size} values,"
                f" the first is {output.flat[first]:g}, not {expected.flat[first]:g})"
            )
        at = difference.argmax()
        largest = max(largest, (float(difference.flat[at]), float(allowed.flat[at])))
    return largest


def product(layer, x, weight, pads=None, pad_value=0.0):
    """The product of a layer in float64: [batch, C, H, W] by [O, C / groups, kh,
    kw], or [rows, K] by [O, K]. pads: (before, after), of both axes."""
    x, weight = np.asarray(x, np.float64), np.asarray(weight, np.float64)
    if layer.is_gemm:
        return x @ weight.T
    before, after = pads or (layer.pad, layer.pad)
    x = np.pad(
        x, ((0, 0), (0, 0), (before, after), (before, after)), constant_values=pad_value
    )
    reach = layer.dilation * (layer.kernel - 1)
    out_h, out_w = ((size - reach - 1) // layer.stride + 1 for size in x.shape[2:])
    into, out = layer.into // layer.groups, layer.out // layer.groups
    y = np.zeros((x.shape[0], layer.out, out_h, out_w))
    for kh in range(layer.kernel):
        for kw in range(layer.kernel):
            h, w = kh * layer.dilation, kw * layer.dilation
            tap = x[
                :,
                :,
                h : h + (out_h - 1) * layer.stride + 1 : layer.stride,
                w : w + (out_w - 1) * layer.stride + 1 : layer.stride,
            ]
            for group in range(layer.groups):
                outputs = slice(group * out, (group + 1) * out)
                inputs = slice(group * into, (group + 1) * into)
                y[:, outputs] += np.einsum(
                    "nchw,oc->nohw",
                    tap[:, inputs],
                    weight[outputs, :, kh, kw],
                    optimize=True,
                )
    return y


# How many times the size that rounding errors are expected to have: beyond it
# lies one in 1e8.
SURE = 6


def float_error(layer, x, error, weight):
    """The size of the rounding errors of a product in float32, as a standard
    deviation, of an input that has such of `error` (or None). K terms are off by
    sqrt(K) u times the sum of their sizes (Higham and Mary 2019); what the input
    is off by is independent from value to value, and adds up in squares."""
    terms = weight[0].size
    own = np.sqrt(terms) * UNIT_ROUNDOFF * product(layer, np.abs(x), np.abs(weight))
    if error is None:
        return own
    return np.sqrt(own**2 + product(layer, error**2, np.square(weight, dtype=float)))
