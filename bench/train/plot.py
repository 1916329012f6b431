"""Test error against latency as SVG: a panel for each table, both axes
logarithmic."""

import math
import statistics
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 640, 300  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 46, 12, 30, 40
LINE, CHARACTER = 13, 6.2  # a label's height, and its width for each character
RADIUS = 4

# By what most multiply-adds are.
COLORS = {"float": "#555555", "binary_weights": "#0072b2", "binary": "#d55e00"}
KIND_NAMES = {"float": "float", "binary_weights": "binary weights",
              "binary": "binary weights and activations"}


class Axis:
    """A logarithmic one, a little longer than its values."""

    def __init__(self, values, start, end):
        self.low, self.high = min(values) / 1.25, max(values) * 1.25
        self.start, self.end = start, end

    def __call__(self, value):
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)

    def ticks(self):
        powers = range(math.floor(math.log10(self.low)),
                       math.ceil(math.log10(self.high)))
        values = [digit * 10 ** power for power in powers
                  for digit in (1, 1.5, 2, 3, 5, 7)]
        return [v for v in values if self.low <= v <= self.high]


class Point:
    def __init__(self, network):
        errors = [run["test_error"] for run in network["runs"]]
        self.name = network["method"]
        self.error = max(statistics.mean(errors), 0.01)
        self.spread = statistics.stdev(errors) if len(errors) > 1 else 0
        self.latency = statistics.median(
            run["latency_us"] for run in network["runs"])
        counts = network["multiply_adds"]
        self.kind = max(counts, key=counts.get)


def text(x, y, what, attributes=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" {attributes}>{escape(what)}</text>\n'


def line(x1, y1, x2, y2, color, width="1"):
    return (f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
            f'stroke="{color}" stroke-width="{width}"/>\n')


def dot(x, y, color):
    return (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{RADIUS}" '
            f'fill="{color}"/>\n')


def overlap(a, b):
    """Of (left, top, right, bottom)."""
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def label_boxes(at_x, at_y, name):
    """Places for a label beside its point, the nearest first."""
    width = CHARACTER * len(name)
    for step in range(2 * HEIGHT // LINE):
        shift = (step + 1) // 2 * LINE * (1 if step % 2 else -1)
        top = at_y + shift - LINE / 2
        for left in (at_x + 12, at_x - 12 - width):
            box = (left, top, left + width, top + LINE)
            if (LEFT < left and box[2] < WIDTH and TOP - LINE / 2 < top and
                    box[3] < HEIGHT - BOTTOM):
                yield box


def labels(places):
    """places: (point, x, y) each. Labels that cover no point and no other
    label, with lines to their points."""
    taken = [(x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS)
             for _, x, y in places]
    parts = []
    for point, x, y in places:
        box = next((box for box in label_boxes(x, y, point.name)
                    if not any(overlap(box, other) for other in taken)), None)
        if box is None:
            continue
        taken.append(box)
        color = COLORS[point.kind]
        end = box[0] - 2 if box[0] > x else box[2] + 2
        middle = (box[1] + box[3]) / 2
        if abs(middle - y) >= 1:
            parts.append(line(x, y, end, middle, color, "0.5"))
        parts.append(text(box[0], middle + 4, point.name, f'fill="{color}"'))
    return parts


def panel(title, networks):
    points = [Point(network) for network in networks]
    x = Axis([p.latency for p in points], LEFT, WIDTH - RIGHT)
    y = Axis([p.error for p in points], HEIGHT - BOTTOM, TOP)
    parts = [text(LEFT, TOP - 12, title, 'font-weight="bold"')]
    for tick in x.ticks():
        parts.append(line(x(tick), y.start, x(tick), y.end, "#e4e4e4"))
        parts.append(text(x(tick), y.start + 15, f"{tick:g}",
                          'text-anchor="middle"'))
    for tick in y.ticks():
        parts.append(line(x.start, y(tick), x.end, y(tick), "#e4e4e4"))
        parts.append(text(x.start - 5, y(tick) + 4, f"{tick:g}",
                          'text-anchor="end"'))
    parts.append(text((x.start + x.end) / 2, y.start + 32,
                      "test error, %, over median latency, µs",
                      'text-anchor="middle"'))
    places = [(p, x(p.latency), y(p.error)) for p in points]
    for point, at_x, at_y in places:
        color = COLORS[point.kind]
        if point.spread:
            low = max(point.error - point.spread, y.low)
            high = min(point.error + point.spread, y.high)
            parts.append(line(at_x, y(low), at_x, y(high), color))
        parts.append(dot(at_x, at_y, color))
    return "".join(parts + labels(places))


def svg(panels):
    """panels: (title, networks) each, one under the other."""
    head = 20
    width, height = WIDTH, head + HEIGHT * len(panels)
    parts = []
    left = LEFT + RADIUS
    for kind, name in KIND_NAMES.items():
        parts.append(dot(left, head - 6, COLORS[kind]))
        parts.append(text(left + 8, head - 2, name))
        left += 30 + CHARACTER * len(name)
    for i, (title, networks) in enumerate(panels):
        parts.append(f'<g transform="translate(0 {head + i * HEIGHT})">\n'
                     f'{panel(title, networks)}</g>\n')
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
            f'height="{height}" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="11">\n'
            '<rect width="100%" height="100%" fill="white"/>\n'
            + "".join(parts) + "</svg>\n")
