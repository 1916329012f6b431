"""Trains the networks of recipes.py, measures them, writes OUT/results.json.

An interrupted one goes on where it was. Prints the tables; README.md is
written by render.py, from results.json.
"""

import argparse
import datetime
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys

import recipes
import render
import training

# Multiply-adds by what meets what, for each op with weights.
KINDS = {
    "Conv": "float", "Gemm": "float",
    "BinaryWeightConv": "binary_weights", "BinaryWeightGemm": "binary_weights",
    "BinaryConv": "binary", "BinaryGemm": "binary",
}


def bq_run_json(arguments, bq_run, model):
    command = [bq_run, str(model), "--json", "--threads", "1", *arguments]
    return json.loads(subprocess.run(command, check=True,
                                     stdout=subprocess.PIPE).stdout)


def multiply_adds(model, bq_run):
    """For one image: each weight of each base meets each base of activations,
    at each position of the output."""
    outputs = {layer["name"]: layer["output"]
               for layer in bq_run_json([], bq_run, model)["layers"]}
    graph = training.read_json(model)
    counts = dict.fromkeys(("float", "binary_weights", "binary"), 0)
    for node in graph["nodes"]:
        if node["op"] not in KINDS:
            continue
        weight = graph["constants"][node["constants"]["weight"]]["shape"]
        steps = node.get("attributes", {}).get("post", "").split(",")
        activation_bases = len(node["inputs"]) - steps.count("Residual")
        # "8x8x64": positions are all but the channels.
        output = [int(n) for n in outputs[node["name"]].split("x")]
        counts[KINDS[node["op"]]] += (math.prod(weight) * activation_bases *
                                      math.prod(output[:-1]))
    return counts


def measure_run(run, bq_run, quick):
    result = training.read_json(run.result_file)
    benchmark = bq_run_json(
        ["--benchmark", *(["--runs", "100"] if quick else [])],
        bq_run, run.model)
    return {
        "seed": run.seed,
        "test_error": round(100 * (1 - result["exported_accuracy"]), 4),
        "differing": result["differing"],
        "clearly_differing": result["clearly_differing"],
        "model_bytes": result["model_bytes"],
        "training_minutes": round(result["seconds"] / 60, 2),
        "latency_us": round(benchmark["latency_us"]["median"], 2),
    }, benchmark["backend"]


def measure(runs, bq_run, quick):
    """One after the other, with nothing else running."""
    networks, backend = {}, ""
    for run in runs:
        key = (run.dataset, run.architecture, run.method)
        if key not in networks:
            networks[key] = {
                "dataset": run.dataset,
                "architecture": run.architecture,
                "method": run.method,
                "options": run.options,
                "multiply_adds": multiply_adds(run.model, bq_run),
                "runs": [],
            }
        measured, backend = measure_run(run, bq_run, quick)
        networks[key]["runs"].append(measured)
    return list(networks.values()), backend


def processor():
    with open("/proc/cpuinfo") as file:
        found = re.search(r"^model name\s*: (.*)$", file.read(), re.MULTILINE)
    return found[1] if found else os.uname().machine


def planned_runs(arguments):
    """Seed by seed, so that what an interrupted one has done is a table."""
    seeds = arguments.seeds or (
        recipes.QUICK_SEEDS if arguments.quick else recipes.SEEDS)
    quick = recipes.QUICK_OPTIONS if arguments.quick else {}
    runs = []
    for seed in range(1, seeds + 1):
        for recipe in recipes.RECIPES:
            for method in recipe.methods:
                runs.append(training.Run(
                    recipe.dataset, recipe.architecture, method,
                    recipes.METHODS[method],
                    {**recipe.training_options(method), **quick}, seed,
                    arguments.out))
    return [run for run in runs if re.search(arguments.only, run.name)]


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, required=True,
                        help="where bq-train and bq-run are")
    parser.add_argument("--mnist", required=True, help="a folder of idx files")
    # Where Debian's dataset-fashion-mnist puts them.
    parser.add_argument("--fashion",
                        default="/usr/share/datasets/fashion-mnist",
                        help="the same of Fashion-MNIST (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, required=True,
                        help="for models, logs and results.json")
    parser.add_argument("--quick", action="store_true",
                        help="one short run each, to see that all works")
    parser.add_argument("--only", default="", metavar="REGEX",
                        help='of "mnist/lenet/abcnet 3x3 seed 1"')
    parser.add_argument("--seeds", type=int,
                        help="how many, from 1 (as the recipes say)")
    parser.add_argument("--jobs", type=int,
                        default=len(os.sched_getaffinity(0)),
                        help="runs at once (%(default)s)")
    parser.add_argument("--no-training", action="store_true",
                        help="only measure the networks that are there")
    arguments = parser.parse_args()
    for program in ("bq-train", "bq-run"):
        if not (arguments.bin / program).is_file():
            parser.error(f"--bin: there is no {program} in {arguments.bin}")
    return arguments


def main():
    arguments = parse_arguments()
    # Ends like a program that was interrupted: training stops, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    data = {name: os.path.abspath(folder)
            for name, folder in (("mnist", arguments.mnist),
                                 ("fashion", arguments.fashion))}
    arguments.out.mkdir(parents=True, exist_ok=True)
    runs = planned_runs(arguments)
    failed = []
    if not arguments.no_training:
        failed = training.train(runs, arguments.bin / "bq-train", data,
                                max(arguments.jobs, 1))
    done = [run for run in runs if run.result_file.is_file()]
    training.say(f"measuring {len(done)} networks")
    networks, backend = measure(done, arguments.bin / "bq-run",
                                arguments.quick)
    results = {
        "date": datetime.date.today().isoformat(),
        "processor": processor(),
        "cores": os.cpu_count(),
        "backend": backend,
        "runs_at_once": arguments.jobs,
        "networks": networks,
    }
    name = "results-quick.json" if arguments.quick else "results.json"
    training.write(arguments.out / name, json.dumps(results, indent=1) + "\n")
    print(render.tables(results), end="")
    if failed:
        sys.exit(f"{len(failed)} of {len(runs)} networks were not trained")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; the same command goes on")
