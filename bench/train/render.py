"""Makes the tables of README.md from results.json, both beside this file.

render.py            writes README.md
render.py --check    fails if README.md holds other tables
"""

import pathlib
import statistics
import sys

import training

FOLDER = pathlib.Path(__file__).resolve().parent
BEGIN = "<!-- tables: made from results.json by render.py -->\n"
END = "<!-- end of tables -->\n"

DATASETS = {"mnist": "MNIST", "fashion": "Fashion-MNIST"}

HEADER = """\
| method | test error, % | size, kB | float | binary weights | binary | median, µs | training, min |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
"""

# Rows of papers: (what, test error in %).
PAPERS = {
    ("mnist", "mlp-3x1024"): (
        ("BinaryConnect, arXiv:1511.00363: no binary weights", "1.30"),
        ("BinaryConnect, deterministic", "1.29"),
        ("BinaryConnect, stochastic (tested with real weights)", "1.18"),
        ("BNN, arXiv:1602.02830, Torch7 (its own network)", "1.40"),
        ("BNN, Theano (3×4096)", "0.96"),
    ),
}


def error_text(errors):
    if len(errors) == 1:
        return f"{errors[0]:.2f} (1 seed)"
    text = f"{statistics.mean(errors):.2f} ± {statistics.stdev(errors):.2f}"
    return text if len(errors) == 3 else f"{text} ({len(errors)} seeds)"


def count_text(multiply_adds):
    return f"{multiply_adds / 1000:,.0f}" if multiply_adds else "-"


def options_text(options):
    return "`" + " ".join(f"--{k} {v}" for k, v in options.items()) + "`"


def row(network, common):
    def median(key):
        return statistics.median(run[key] for run in network["runs"])

    own = {key: value for key, value in network["options"].items()
           if common.get(key) != value}
    method = network["method"] + (f", {options_text(own)}" if own else "")
    errors = [run["test_error"] for run in network["runs"]]
    counts = network["multiply_adds"]
    cells = [method, error_text(errors), f"{median('model_bytes') / 1000:,.0f}",
             count_text(counts["float"]), count_text(counts["binary_weights"]),
             count_text(counts["binary"]), f"{median('latency_us'):.1f}",
             f"{median('training_minutes'):.1f}"]
    return "| " + " | ".join(cells) + " |\n"


def table(networks):
    """Of one data set and one architecture."""
    dataset, architecture = networks[0]["dataset"], networks[0]["architecture"]
    common = {key: value for key, value in networks[0]["options"].items()
              if all(n["options"].get(key) == value for n in networks)}
    lines = [f"### {DATASETS[dataset]}, {architecture}\n\n",
             f"All with {options_text(common)}.\n\n" if common else "", HEADER]
    lines += [row(network, common) for network in networks]
    for what, error in PAPERS.get((dataset, architecture), ()):
        lines.append(f"| *{what}* | *{error}* |" + " |" * 6 + "\n")
    return "".join(lines)


def tables(results):
    groups = {}
    for network in results["networks"]:
        key = (network["dataset"], network["architecture"])
        groups.setdefault(key, []).append(network)
    if not groups:
        return ""
    runs = [run for network in results["networks"] for run in network["runs"]]
    differing = sum(run["differing"] for run in runs)
    clearly = sum(run["clearly_differing"] for run in runs)
    intro = (f"{results['date']}, {results['processor']}, "
             f"{results['cores']} cores, {results['backend']}; "
             f"{results['runs_at_once']} runs at once. Trainer and exported "
             f"model predict another class for {differing} test images of all "
             f"{len(runs)} networks together, {clearly} of them by more than "
             "rounding.\n\n")
    return intro + "\n".join(table(group) for group in groups.values())


def with_tables(readme, text):
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}{END}{after}"


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    path = FOLDER / "README.md"
    readme = path.read_text()
    wanted = with_tables(readme, tables(
        training.read_json(FOLDER / "results.json")))
    if not sys.argv[1:]:
        path.write_text(wanted)
    elif readme != wanted:
        sys.exit("README.md does not hold the tables of results.json: "
                 "run bench/train/render.py")


if __name__ == "__main__":
    main()
