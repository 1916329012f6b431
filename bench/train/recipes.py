"""What the table compares: networks, methods, and how each is trained."""

import dataclasses

# Options of bq-train for each method.
METHODS = {
    "float": {"method": "float"},
    "binaryconnect": {"method": "binaryconnect"},
    "binaryconnect-stochastic": {"method": "binaryconnect-stochastic"},
    "bwn": {"method": "bwn"},
    "bnn": {"method": "bnn"},
    "xnor": {"method": "xnor"},
    "abcnet 1x1": {"method": "abcnet", "weight-bases": 1, "activation-bases": 1},
    "abcnet 3x3": {"method": "abcnet", "weight-bases": 3, "activation-bases": 3},
    "abcnet 5x5": {"method": "abcnet", "weight-bases": 5, "activation-bases": 5},
    "unipolar": {"method": "unipolar"},
}

MLP_METHODS = ("float", "binaryconnect", "binaryconnect-stochastic", "bnn")


@dataclasses.dataclass(frozen=True)
class Recipe:
    dataset: str  # "mnist" or "fashion"
    architecture: str  # a file of tools/train/architectures
    methods: tuple
    options: dict  # of bq-train, for all methods
    exceptions: dict = dataclasses.field(default_factory=dict)  # for one method

    def training_options(self, method):
        return {**self.options, **self.exceptions.get(method, {})}


RECIPES = (
    Recipe("mnist", "mlp-3x1024", MLP_METHODS,
           {"epochs": 30, "batch": 200, "lr": 0.003, "loss": "square-hinge"}),
    Recipe("mnist", "lenet", tuple(METHODS),
           {"epochs": 8, "augment": "shift:2"}),
    Recipe("fashion", "lenet", tuple(METHODS), {"epochs": 6}),
)

SEEDS = 3

# What --quick changes: to see that all works.
QUICK_OPTIONS = {"epochs": 1, "limit": 2000}
QUICK_SEEDS = 1
