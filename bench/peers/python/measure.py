"""What is done with all peers: their answers are verified, then they are timed."""

import json
import statistics
import sys
import time

import answers
import layers

# A layer is timed as the difference between a network that has it this many
# times more and one that has it once: what happens at the borders of a network
# (conversion of layouts, the call from Python) is not the layer's.
REPEATS = 4
ROUND_SECONDS = 0.02


def time_us(run, runs):
    start = time.process_time_ns()
    for _ in range(runs):
        run()
    return (time.process_time_ns() - start) / 1e3 / runs


def counts(layer):
    """How many times a layer is in the networks that it is timed by."""
    return (1, 1 + REPEATS) if layer.repeatable else (1,)


def layer_us(medians):
    """Of a layer, from the median times of networks that have it so often."""
    if len(medians) == 1:
        return medians[1]
    return (medians[1 + REPEATS] - medians[1]) / REPEATS


def measure_us(networks, rounds):
    """Median time of a layer, in microseconds of the processor. networks: how
    often the layer is in it -> network."""
    samples = {count: [] for count in networks}
    for _ in range(rounds):
        for count, network in networks.items():
            warm_us = min(time_us(network.run, 1) for _ in range(3))
            runs = max(1, int(ROUND_SECONDS * 1e6 / max(warm_us, 1) / len(networks)))
            samples[count].append(time_us(network.run, runs))
    return layer_us({count: statistics.median(us) for count, us in samples.items()})


def main(version, columns, parts=None):
    """Verifies and times all layers of a file of bq-bench-peers (first argument),
    in as many rounds, and writes JSON (second).

    columns: key -> function of a layer and how often the network has it, which
    returns an answers.Network; it raises NotImplementedError for a layer that the
    engine has nothing for.
    parts: key of a column -> function of a layer that returns times of parts of
    it, as key -> microseconds.
    """
    results = layers.read_results(sys.argv[1])
    measured = measure(
        layers.read_layers(results), columns, parts, results[0]["rounds"]
    )
    with open(sys.argv[2], "w") as file:
        json.dump({"version": version, **measured}, file)


def measure(all_layers, columns, parts, rounds):
    """What `main` does, without the files: {"times": key -> layer -> us,
    "answers": key -> layer -> {"difference": the largest, "allowed"}, "notes": what is missing}."""
    times, verified, notes = {}, {}, []
    for layer in all_layers:
        for key, make in columns.items():
            if sys.stderr.isatty():
                print(f"\r{layer.name} {key}\x1b[K", end="", file=sys.stderr)
            times.setdefault(key, {})
            verified.setdefault(key, {})
            try:
                networks = {count: make(layer, count) for count in counts(layer)}
                largest = max(map(answers.verify, networks.values()))
                us = measure_us(networks, rounds)
                of_parts = parts[key](layer) if parts and key in parts else {}
            except Exception as error:  # whatever an engine throws
                lines = str(error).strip().splitlines() or [type(error).__name__]
                notes.append([key, lines[0][:200], layer.name])
                continue
            verified[key][layer.name] = dict(zip(("difference", "allowed"), largest))
            times[key][layer.name] = us
            for part, part_us in of_parts.items():
                times.setdefault(part, {})[layer.name] = part_us
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr)
    return {"times": times, "answers": verified, "notes": notes}
