"""bench/peers/python: who answers wrongly is not timed, and the right answers are
right. Needs NumPy, and none of the engines.

peers_python_test.py CODE      CODE: bench/peers/python
"""

import json
import subprocess
import sys
import tempfile
import unittest

try:
    import numpy as np
except ImportError:
    print("skipped: no NumPy here (python3-numpy)")
    sys.exit(77)

sys.path.insert(0, sys.argv.pop(1))
import answers
import layers
import measure
import table

LAYER = layers.Layer(
    name="bconv3x3 5x6x4-6s2",
    is_gemm=False,
    batch=2,
    height=5,
    width=6,
    into=4,
    out=6,
    kernel=3,
    stride=2,
    dilation=1,
    pad=1,
    groups=2,
)


def fake(answer):
    """A network that doubles its input, but answers with `answer` of what is
    right."""
    state = {}
    random = np.random.default_rng(7)
    return answers.Network(
        set_input=lambda values: state.update(x=values),
        run=lambda: state.update(y=answer(2 * state["x"])),
        output=lambda: state["y"],
        inputs=[random.standard_normal((3, 4)) for _ in range(2)],
        expected=lambda x: (2 * x, 1e-6),
    )


def off_by(difference):
    def answer(right):
        right[1, 2] += difference
        return right

    return answer


class Verify(unittest.TestCase):
    def assert_wrong(self, network, text):
        with self.assertRaisesRegex(answers.WrongAnswer, text):
            answers.verify(network)

    def test_takes_right_answers(self):
        self.assertEqual(answers.verify(fake(lambda right: right))[0], 0)
        difference, allowed = answers.verify(fake(off_by(5e-7)))
        self.assertAlmostEqual(difference, 5e-7, 12)
        self.assertEqual(allowed, 1e-6)

    def test_finds_wrong_ones(self):
        self.assert_wrong(fake(off_by(1e-5)), r"input 2: 1 of 12 values")
        self.assert_wrong(fake(off_by(np.nan)), r"input 2: 1 of 12 values, .* nan")
        self.assert_wrong(fake(lambda right: right[:2]), r"\(2, 4\), not \(3, 4\)")

    def test_finds_who_ignores_the_input(self):
        for kept, found in ((0, 2), (1, 1)):
            network = fake(lambda right: right)
            network.output = lambda n=network, k=kept: 2 * n.inputs[k]
            self.assert_wrong(network, f"input {found}: 12 of 12 values")


class Measure(unittest.TestCase):
    def test_times_only_right_answers(self):
        def cannot(layer, count):
            raise NotImplementedError("it has nothing for this layer")

        measured = measure.measure(
            [LAYER],
            {
                "right_us": lambda layer, count: fake(lambda right: right),
                "wrong_us": lambda layer, count: fake(off_by(1)),
                "none_us": cannot,
            },
            parts={
                "right_us": lambda layer: {"part_us": 1.5},
                "wrong_us": lambda layer: {"wrong_part_us": 1.5},
            },
            rounds=1,
        )
        self.assertGreater(measured["times"]["right_us"][LAYER.name], 0)
        self.assertEqual(measured["times"]["part_us"], {LAYER.name: 1.5})
        self.assertEqual(measured["times"]["wrong_us"], {})
        self.assertNotIn("wrong_part_us", measured["times"])
        self.assertEqual(
            measured["answers"]["right_us"],
            {LAYER.name: {"difference": 0, "allowed": 1e-6}},
        )
        lines = table.answer_lines(measured, 1)
        self.assertEqual(
            lines[0],
            "- right: answer verified in 1 of 1 rows, largest difference 0"
            " of 1e-06 allowed",
        )
        self.assertRegex(
            lines[1], r"^- wrong: not timed: answer differs .*\) \(all layers\)$"
        )
        self.assertIn("none: not timed: it has nothing for this layer", lines[2])
        self.assertEqual(len(lines), 3)

    def test_every_depth_has_to_be_right(self):
        layer = LAYER.__class__(**{**vars(LAYER), "out": 4, "stride": 1})
        self.assertEqual(measure.counts(layer), (1, 1 + measure.REPEATS))
        measured = measure.measure(
            [layer],
            {"deep_us": lambda _, count: fake(off_by(0 if count == 1 else 1))},
            None,
            rounds=1,
        )
        self.assertEqual(measured["times"]["deep_us"], {})


class Table(unittest.TestCase):
    def test_joins_and_leaves_out_what_was_not_timed(self):
        sizes = {key: getattr(LAYER, key) for key in vars(LAYER)}
        del sizes["name"], sizes["is_gemm"]
        sizes["in"] = sizes.pop("into")
        row = {
            "op": "bconv3x3",
            "shape": "5x6x4-6s2",
            "threads": 1,
            "ours_us": 100.0,
            "packed_us": 90.0,
            "onednn_int8_us": None,
            "answers": {"ours_us": {"difference": 0, "allowed": 0}},
            "layer": sizes,
            "cpu": "a processor",
            "backend": "cpu:x",
            "onednn": "",
            "rounds": 1,
        }
        answer = {LAYER.name: {"difference": 0.5, "allowed": 1}}
        results = {
            "version": "1.2",
            "times": {"right_us": {LAYER.name: 250.0}, "wrong_us": {}},
            "answers": {"right_us": answer, "wrong_us": {}},
            "notes": [["wrong_us", "answer differs (so)", LAYER.name]],
        }
        with tempfile.TemporaryDirectory() as folder:
            paths = [f"{folder}/{name}.json" for name in ("ours", "all", "peer")]
            for path, content in ((paths[0], [row]), (paths[2], results)):
                with open(path, "w") as file:
                    json.dump(content, file)
            # -S: without NumPy, which is only where the engines are.
            printed = subprocess.run(
                [sys.executable, "-S", table.__file__, *paths[:2], f"peer={paths[2]}"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout
            joined = layers.read_results(paths[1])
        self.assertIn("a processor; bqengine cpu:x; peer 1.2\n", printed)
        self.assertIn(
            "- right: answer verified in 1 of 1 rows, "
            "largest difference 0.5 of 1 allowed\n"
            "- wrong: not timed: answer differs (so) (all layers)\n",
            printed,
        )
        self.assertRegex(printed, r"\| bconv3x3 5x6x4-6s2 \|  100 \|   90.0 \|")
        self.assertIn("250+ (2.5x) |\n", printed)
        self.assertNotIn("wrong |", printed)
        self.assertEqual(joined[0]["right_us"], 250)
        self.assertEqual(joined[0]["answers"]["right_us"], answer[LAYER.name])


class Product(unittest.TestCase):
    """The right answer, against plain loops."""

    def loops(self, layer, x, weight, before, out_h, out_w, pad_value):
        y = np.zeros((layer.batch, layer.out, out_h, out_w))
        into, out = layer.into // layer.groups, layer.out // layer.groups
        for n, o, oh, ow in np.ndindex(*y.shape):
            for c, kh, kw in np.ndindex(into, layer.kernel, layer.kernel):
                h = oh * layer.stride + kh * layer.dilation - before
                w = ow * layer.stride + kw * layer.dilation - before
                inside = 0 <= h < layer.height and 0 <= w < layer.width
                value = x[n, o // out * into + c, h, w] if inside else pad_value
                y[n, o, oh, ow] += value * weight[o, c, kh, kw]
        return y

    def check(self, out_h, out_w, pads=None, pad_value=0, **changes):
        layer = LAYER.__class__(**{**vars(LAYER), **changes})
        random = np.random.default_rng(3)
        x = random.integers(-9, 9, layer.input_shape())
        weight = random.integers(
            -9, 9, (layer.out, layer.into // layer.groups, layer.kernel, layer.kernel)
        )
        before = layer.pad if pads is None else pads[0]
        np.testing.assert_array_equal(
            answers.product(layer, x, weight, pads, pad_value),
            self.loops(layer, x, weight, before, out_h, out_w, pad_value),
        )

    def test_convolutions(self):
        self.check(3, 3)
        self.check(3, 3, groups=1, pad_value=1)
        self.check(5, 6, stride=1, dilation=2, pad=2)
        self.check(3, 3, kernel=1, pad=0)
        # TensorFlow's "same", of an even size: behind the image only.
        self.check(3, 3, pads=(0, 1), pad_value=1, height=6)

    def test_matrices(self):
        layer = LAYER.__class__(**{**vars(LAYER), "is_gemm": True})
        np.testing.assert_array_equal(
            answers.product(layer, [[1, 2], [3, 4]], [[5, 6], [7, 8], [0, 1]]),
            [[17, 23, 2], [39, 53, 4]],
        )

    def test_float_sums_stay_within_their_bound(self):
        layer = LAYER.__class__(**{**vars(LAYER), "is_gemm": True})
        random = np.random.default_rng(5)
        x = random.standard_normal((50, 400)).astype(np.float32)
        weight = random.standard_normal((60, 400)).astype(np.float32)
        # One product after the other.
        y = np.zeros((50, 60), np.float32)
        for k in range(400):
            y += x[:, k : k + 1] * weight[:, k]
        off = np.abs(y - answers.product(layer, x, weight))
        bound = answers.SURE * answers.float_error(layer, x, None, weight)
        self.assertTrue((off <= bound).all())
        self.assertLess(bound.max(), 1e-2 * np.abs(y).mean())  # it says something
        # What the input is off by comes on top, as independent errors do.
        error = np.full(x.shape, 1e-3)
        with_input = answers.float_error(layer, x, error, weight)
        of_input = 1e-3 * np.sqrt((weight.astype(float) ** 2).sum(axis=1))
        np.testing.assert_allclose(
            with_input**2, (bound / answers.SURE) ** 2 + of_input**2
        )


if __name__ == "__main__":
    measure.ROUND_SECONDS = 1e-4
    unittest.main()
