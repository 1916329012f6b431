"""Joins the results of bq-bench-peers and of the Python peers.

table.py OURS.json OUT.json [NAME=RESULTS.json...]: prints in Markdown whose
answers were verified and a table and, unless OUT.json is empty, writes the joined
list.
"""

import json
import sys

import layers


def format_us(us):
    return f"{us:.0f}" if us >= 99.5 else f"{us:.1f}" if us >= 9.95 else f"{us:.2f}"


def format_cell(row, layer, key):
    us, ours = row.get(key), row.get("ours_us")
    if us is None:
        return "-"
    if key in ("ours_us", "packed_us") or ours is None:
        return format_us(us)
    mark = "" if layer.repeatable or key.startswith(("onednn", "xnnpack")) else "+"
    return f"{format_us(us)}{mark} ({us / ours:.1f}x)"


def heading(key):
    return key.removesuffix("_us").replace("_", " ")


def answer_lines(results, row_count):
    """As bq-bench-peers prints them."""
    lines = []
    for key, verified in results["answers"].items():
        if not verified:
            continue
        largest = max(verified.values(), key=lambda answer: answer["difference"])
        lines.append(
            f"- {heading(key)}: answer verified in {len(verified)} of {row_count} rows,"
            f" largest difference {largest['difference']:.2g}"
            f" of {largest['allowed']:.2g} allowed"
        )
    about = {}  # each reason once
    for key, why, layer in results["notes"]:
        about.setdefault((key, why), []).append(layer)
    lines += [
        f"- {heading(key)}: not timed: {why} "
        f"({'all layers' if len(names) == row_count else ', '.join(names)})"
        for (key, why), names in about.items()
    ]
    return lines


def table_lines(rows, all_layers, keys):
    lines = [["1 thread, us"] + [heading(key) for key in keys]] + [
        [layer.name] + [format_cell(row, layer, key) for key in keys]
        for row, layer in zip(rows, all_layers)
    ]
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = []
    for number, line in enumerate(lines):
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        text.append("| " + " | ".join(cells) + " |")
        if number == 0:
            rules = ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]]
            text.append("| " + " | ".join(rules) + " |")
    return text


def main():
    ours_path, out_path = sys.argv[1:3]
    ours = layers.read_results(ours_path)
    rows = [row for row in ours if row["threads"] == 1]
    all_layers = layers.read_layers(ours)
    keys = ["ours_us", "packed_us", "onednn_int8_us"]
    engines = [f'bqengine {rows[0]["backend"]}']
    if rows[0]["onednn"]:
        engines.append(f'oneDNN {rows[0]["onednn"]} ({rows[0]["onednn_isa"]})')
    answers = []
    for argument in sys.argv[3:]:
        name, path = argument.split("=", 1)
        results = layers.read_results(path)
        engines.append(f'{name} {results["version"]}')
        answers += answer_lines(results, len(rows))
        for key, times in results["times"].items():
            if times:
                keys.append(key)
            for row, layer in zip(rows, all_layers):
                row[key] = times.get(layer.name)
        for key, verified in results["answers"].items():
            for row, layer in zip(rows, all_layers):
                if layer.name in verified:
                    row["answers"][key] = verified[layer.name]
    print(f'{rows[0]["cpu"]}; {"; ".join(engines)}\n')
    print("\n".join(answers + [""] + table_lines(rows, all_layers, keys)))
    if out_path:
        with open(out_path, "w") as file:
            json.dump(rows, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
