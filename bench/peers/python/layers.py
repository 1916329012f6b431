"""Layers as bq-bench-peers writes them."""

import dataclasses
import json


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


def read_results(path):
    with open(path) as file:
        return json.load(file)


def read_layers(results):
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
