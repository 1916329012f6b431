"""Layers as bq-bench-peers writes them, and what all peers do with them."""

import dataclasses
import json
import statistics
import sys
import time

# A layer is timed as the difference between a network that has it this many
# times more and one that has it once: what happens at the borders of a network
# (conversion of layouts, the call from Python) is not the layer's.
REPEATS = 4
ROUNDS = 15
ROUND_SECONDS = 0.02


@dataclasses.dataclass(frozen=True)
class Layer:
    name: str
    is_gemm: bool
    batch: int
    height: int
    width: int
    into: int
    out: int
    kernel: int
    stride: int
    dilation: int
    pad: int
    groups: int

    @property
    def repeatable(self):
        """Whether its output can be its input."""
        return self.into == self.out and self.stride == 1

    def input_shape(self, channels_last=False):
        if self.is_gemm:
            return [self.batch, self.into]
        if channels_last:
            return [self.batch, self.height, self.width, self.into]
        return [self.batch, self.into, self.height, self.width]


def read_layers(path):
    with open(path) as file:
        results = json.load(file)
    layers = []
    for result in results:
        if result["threads"] != 1:
            continue
        sizes = dict(result["layer"])
        sizes["into"] = sizes.pop("in")
        layers.append(
            Layer(
                name=f'{result["op"]} {result["shape"]}',
                is_gemm=result["op"] == "bgemm",
                **sizes,
            )
        )
    return layers


def time_us(run, runs):
    start = time.process_time_ns()
    for _ in range(runs):
        run()
    return (time.process_time_ns() - start) / 1e3 / runs


def layer_us(layer, make):
    """Median time of a layer, in microseconds of the processor.

    make(n) returns a function that runs a network with the layer n times.
    """
    networks = [(1, make(1))]
    if layer.repeatable:
        networks.append((1 + REPEATS, make(1 + REPEATS)))
    samples = {n: [] for n, _ in networks}
    for _ in range(ROUNDS):
        for n, run in networks:
            warm_us = min(time_us(run, 1) for _ in range(3))
            runs = max(1, int(ROUND_SECONDS * 1e6 / max(warm_us, 1) / len(networks)))
            samples[n].append(time_us(run, runs))
    medians = {n: statistics.median(times) for n, times in samples.items()}
    if not layer.repeatable:
        return medians[1]
    return (medians[1 + REPEATS] - medians[1]) / REPEATS


def main(version, columns):
    """Times all layers of a file (first argument) and writes JSON (second).

    columns: key -> function of a layer that returns such a `make`; it raises
    NotImplementedError for a layer that the engine has nothing for.
    """
    layers = read_layers(sys.argv[1])
    times = {key: {} for key in columns}
    notes = []
    for layer in layers:
        for key, make_of in columns.items():
            if sys.stderr.isatty():
                print(f"\r{layer.name} {key}\x1b[K", end="", file=sys.stderr)
            try:
                times[key][layer.name] = layer_us(layer, make_of(layer))
            except NotImplementedError as error:
                notes.append(f"{key}: {layer.name}: {error}")
            except Exception as error:  # whatever an engine throws
                lines = str(error).strip().splitlines() or [type(error).__name__]
                notes.append(f"{key}: {layer.name}: {lines[0][:200]}")
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    with open(sys.argv[2], "w") as file:
        json.dump({"version": version, "times": times, "notes": notes}, file)
