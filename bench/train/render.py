"""Makes the tables of README.md, and errors.svg, from results.json beside them.

render.py            writes both
render.py --check    fails if they are others
"""

import pathlib
import statistics
import sys

import plot
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
    papers = PAPERS.get((networks[0]["dataset"], networks[0]["architecture"]),
                        ())
    common = {key: value for key, value in networks[0]["options"].items()
              if all(n["options"].get(key) == value for n in networks)}
    lines = [f"### {title(networks)}\n\n",
             f"All with {options_text(common)}.\n\n" if common else "", HEADER]
    lines += [row(network, common) for network in networks]
    for what, error in papers:
        lines.append(f"| *{what}* | *{error}* |" + " |" * 6 + "\n")
    return "".join(lines)


def groups(results):
    """What goes into one table."""
    found = {}
    for network in results["networks"]:
        key = (network["dataset"], network["architecture"])
        found.setdefault(key, []).append(network)
    return list(found.values())


def title(networks):
    return (f"{DATASETS[networks[0]['dataset']]}, "
            f"{networks[0]['architecture']}")


def tables(results):
    if not results["networks"]:
        return ""
    runs = [run for network in results["networks"] for run in network["runs"]]
    differing = sum(run["differing"] for run in runs)
    clearly = sum(run["clearly_differing"] for run in runs)
    intro = (f"{results['date']}, {results['processor']}, "
             f"{results['cores']} cores, {results['backend']}; "
             f"{results['runs_at_once']} runs at once. Trainer and exported "
             f"model predict another class for {differing} test images of all "
             f"{len(runs)} networks together, {clearly} of them by more than "
             "rounding.\n\n"
             "![Test error over latency, a point for each method]"
             "(errors.svg)\n\n")
    return intro + "\n".join(table(group) for group in groups(results))


def with_tables(readme, text):
    before, _, rest = readme.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{text}{END}{after}"


def picture(results):
    return plot.svg([(title(group), group) for group in groups(results)])


def main():
    if sys.argv[1:] not in ([], ["--check"]):
        sys.exit(__doc__)
    results = training.read_json(FOLDER / "results.json")
    readme = FOLDER / "README.md"
    wanted = {readme: with_tables(readme.read_text(), tables(results))}
    if results["networks"]:
        wanted[FOLDER / "errors.svg"] = picture(results)
    for path, text in wanted.items():
        if not sys.argv[1:]:
            training.write(path, text)
        elif not path.is_file() or path.read_text() != text:
            sys.exit(f"{path.name} is not what results.json gives: "
                     "run bench/train/render.py")


if __name__ == "__main__":
    main()
