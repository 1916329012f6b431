"""bench/train: that it trains, measures and writes what is so, on few images.

bench_train_test.py --code DIR Tables
bench_train_test.py --code DIR --bin DIR --data DIR Networks
--code: bench/train. --bin: where bq-train and bq-run are. --data: tests/data.
"""

import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

ARGUMENTS = None


def network(method, errors, **options):
    return {
        "dataset": "mnist", "architecture": "lenet", "method": method,
        "options": {"epochs": 3, **options},
        "multiply_adds": {"float": 465920, "binary_weights": 0,
                          "binary": 34209792},
        "runs": [{"seed": seed, "test_error": error, "differing": 2,
                  "clearly_differing": 0, "model_bytes": 112600 + 1000 * seed,
                  "training_minutes": 2 * seed, "latency_us": 30 + seed}
                 for seed, error in enumerate(errors, 1)],
    }


class Tables(unittest.TestCase):
    def results(self, networks):
        return {
            "date": "2026-01-02", "processor": "a processor", "cores": 2,
            "backend": "cpu:avx2", "runs_at_once": 2, "networks": networks}

    def tables(self, networks):
        import render
        return render.tables(self.results(networks))

    def test_mean_deviation_medians(self):
        text = self.tables([network("abcnet 3x3", [0.7, 0.9, 1.1])])
        self.assertIn("| abcnet 3x3 | 0.90 ± 0.20 | 115 | 466 | - | 34,210 | "
                      "32.0 | 4.0 |\n", text)
        self.assertIn("All with `--epochs 3`.", text)
        self.assertIn("6 test images of all 3 networks together, 0 of them",
                      text)

    def test_other_numbers_of_seeds(self):
        text = self.tables([network("bnn", [0.5]), network("bwn", [1, 2])])
        self.assertIn("| bnn | 0.50 (1 seed) |", text)
        self.assertIn("| bwn | 1.50 ± 0.71 (2 seeds) |", text)

    def test_options_of_one_row(self):
        text = self.tables([network("bnn", [1]), network("bwn", [1], lr=0.1)])
        self.assertIn("All with `--epochs 3`.", text)
        self.assertIn("| bnn | 1.00", text)
        self.assertIn("| bwn, `--lr 0.1` | 1.00", text)

    def test_only_what_is_between_the_marks_is_replaced(self):
        import render
        readme = f"before\n{render.BEGIN}old\n{render.END}after\n"
        once = render.with_tables(readme, "new\n")
        self.assertEqual(once,
                         f"before\n{render.BEGIN}\nnew\n{render.END}after\n")
        self.assertEqual(render.with_tables(once, "new\n"), once)

    def test_picture_names_points_that_lie_on_each_other(self):
        import render
        names = [f"method {i}" for i in range(10)]
        svg = xml.etree.ElementTree.fromstring(render.picture(
            self.results([network(name, [1, 1.1]) for name in names])))
        space = "{http://www.w3.org/2000/svg}"
        panel, = svg.findall(f"{space}g")
        self.assertEqual(len(panel.findall(f"{space}circle")), 10)
        labels = {text.text: (text.get("x"), text.get("y"))
                  for text in panel.findall(f"{space}text")
                  if text.text in names}
        self.assertEqual(sorted(labels), names)
        self.assertEqual(len(set(labels.values())), 10)


class Networks(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.out = self.folder / "out"
        self.data = self.folder / "data"
        shutil.copytree(ARGUMENTS.data / "mnist-500", self.data)
        for kind in ("images-idx3", "labels-idx1"):
            shutil.copy(self.data / f"t10k-{kind}-ubyte.gz",
                        self.data / f"train-{kind}-ubyte.gz")

    def measure(self, *arguments, status=0):
        done = subprocess.run(
            [sys.executable, ARGUMENTS.code / "measure.py", "--quick",
             "--bin", ARGUMENTS.bin, "--mnist", self.data,
             "--fashion", self.data, "--out", self.out, *arguments],
            capture_output=True, text=True)
        self.assertEqual(done.returncode, status, done.stderr)
        return done

    def results(self):
        return json.loads((self.out / "results-quick.json").read_text())

    def test_train_measure_and_go_on(self):
        only = ("--only", "lenet/(float|bwn|abcnet 3x3)")
        done = self.measure(*only)
        self.assertIn("0 of 6 networks are there already", done.stderr)
        counts = {n["method"]: n["multiply_adds"]
                  for n in self.results()["networks"]}
        # 5x5 on 24x24, 5x5x32 on 8x8, 1024 and 512 inputs.
        ends, middle = 576 * 25 * 32 + 5120, 64 * 800 * 64 + 1024 * 512
        self.assertEqual(counts, {
            "float": {"float": ends + middle, "binary_weights": 0, "binary": 0},
            "bwn": {"float": ends, "binary_weights": middle, "binary": 0},
            "abcnet 3x3": {"float": ends, "binary_weights": 0,
                           "binary": 9 * middle}})
        for entry in self.results()["networks"]:
            run, = entry["runs"]
            self.assertEqual(run["seed"], 1)
            self.assertEqual(run["clearly_differing"], 0)
            self.assertGreater(run["latency_us"], 0)
            self.assertIn(f"| {entry['method']} | {run['test_error']:.2f} (1 ",
                          done.stdout)
        self.assertIn("### Fashion-MNIST, lenet", done.stdout)

        # One lost its result: only that is made again, from its checkpoint.
        before = self.results()["networks"]
        lost, = self.out.glob("mnist/lenet/bwn/*/result.json")
        lost.unlink()
        done = self.measure(*only)
        self.assertIn("5 of 6 networks are there already", done.stderr)
        self.assertIn("resumed after epoch 1",
                      (lost.parent / "log.txt").read_text())
        for entry, old in zip(self.results()["networks"], before, strict=True):
            self.assertEqual(entry["runs"][0]["test_error"],
                             old["runs"][0]["test_error"])

    def test_failure_is_named_and_others_are_measured(self):
        self.measure("--only", "mnist/lenet/bnn")
        (self.data / "train-images-idx3-ubyte.gz").unlink()
        done = self.measure("--only", "lenet/bnn", status=1)
        self.assertIn("fashion/lenet/bnn seed 1: failed, see ", done.stderr)
        self.assertIn("1 of 2 networks were not trained", done.stderr)
        self.assertIn("### MNIST, lenet", done.stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", type=pathlib.Path)
    parser.add_argument("--data", type=pathlib.Path)
    parser.add_argument("--code", type=pathlib.Path, required=True)
    ARGUMENTS, rest = parser.parse_known_args()
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(ARGUMENTS.code))
    unittest.main(argv=[sys.argv[0], *rest])
