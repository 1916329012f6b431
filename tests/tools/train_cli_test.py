"""bq-train from outside: images and an architecture in, a model out that bq-run
runs with the same answers.

train_cli_test.py --data DIR --architectures DIR --run BQ_RUN
  --example TRAIN_BINARY_NET -- BQ_TRAIN...
"""

import argparse
import csv
import gzip
import json
import math
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import xml.etree.ElementTree

from cli_test_util import png

ARGUMENTS = None
TRAIN_IMAGES, TEST_IMAGES = 400, 100


def write_digits(folder, repeat=1):
    """A training and a test set from the 500 digits that ship, the training set
    several times over."""
    def read(name):
        path = os.path.join(ARGUMENTS.data, "mnist-500", name)
        with gzip.open(path, "rb") as file:
            return file.read()
    images = read("t10k-images-idx3-ubyte.gz")[16:]
    labels = read("t10k-labels-idx1-ubyte.gz")[8:]
    os.mkdir(folder)
    for name, first, end, times in (("train", 0, TRAIN_IMAGES, repeat),
                                    ("t10k", TRAIN_IMAGES,
                                     TRAIN_IMAGES + TEST_IMAGES, 1)):
        path = os.path.join(folder, name)
        with open(path + "-images-idx3-ubyte", "wb") as file:
            file.write(struct.pack(">4i", 0x803, times * (end - first), 28, 28)
                       + images[first * 784:end * 784] * times)
        with open(path + "-labels-idx1-ubyte", "wb") as file:
            file.write(struct.pack(">2i", 0x801, times * (end - first)) +
                       labels[first:end] * times)


def tiny_architecture(size, channels, classes):
    """Two convolutions; not one name in common with those that ship."""
    width = 8
    constants, nodes = {}, []

    def add(op, name, shapes, **attributes):
        node = {"name": name, "op": op,
                "inputs": [nodes[-1]["name"] if nodes else "pixels"],
                "outputs": [name]}
        if shapes:
            node["constants"] = {role: f"{name}.{role}" for role in shapes}
            for role, shape in shapes.items():
                constants[f"{name}.{role}"] = {"type": "float32",
                                               "shape": shape}
        if attributes:
            node["attributes"] = attributes
        nodes.append(node)

    def add_convolution(name, inputs):
        add("Conv", name, {"weight": [width, 3, 3, inputs]},
            kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        add("BatchNormalization", name + "_norm",
            {role: [width] for role in ("bias", "mean", "scale", "var")})
    add_convolution("first", channels)
    add_convolution("second", width)
    add("GlobalAveragePool", "average", {})
    add("Flatten", "vector", {})
    add("Gemm", "classes", {"weight": [classes, width], "bias": [classes]})
    return json.dumps({
        "format": "bqengine-model", "version": 1, "name": "tiny",
        "producer": "",
        "inputs": [{"name": "pixels", "type": "float32",
                    "shape": ["batch", size, size, channels], "layout": "NHWC",
                    "preprocess": {"scale": 1 / 255, "mean": [0.5],
                                   "std": [0.5]}}],
        "outputs": [{"name": "classes", "layout": "NHWC"}],
        "constants": constants, "nodes": nodes})


class TrainTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.shared = tempfile.mkdtemp(prefix="bqe_train_")
        cls.addClassCleanup(shutil.rmtree, cls.shared)
        cls.digits = os.path.join(cls.shared, "digits")
        write_digits(cls.digits)

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="bqe_train_")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, *names):
        return os.path.join(self.folder, *names)

    def write(self, name, data):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    def read(self, name):
        with open(self.path(name), "rb") as file:
            return file.read()

    @staticmethod
    def architecture(name):
        return os.path.join(ARGUMENTS.architectures, name + ".json")

    def arguments(self, **options):
        """A command line: quick, on the digits, unless `options` say otherwise.

        weight_bases=2 is --weight-bases 2; True is an option without value,
        None one that is left out.
        """
        values = {"arch": self.architecture("lenet"), "width": 0.25,
                  "method": "bnn", "dataset": "mnist:" + self.digits,
                  "epochs": 2, "batch": 20, "threads": 1,
                  "output": self.path("out.json"), **options}
        arguments = []
        for key, value in values.items():
            if value is None:
                continue
            arguments.append("--" + key.replace("_", "-"))
            if value is not True:
                arguments.append(str(value))
        return arguments

    def start(self, arguments, status=0, **options):
        result = subprocess.run(
            ARGUMENTS.command + list(arguments), stdin=subprocess.DEVNULL,
            check=False, **{"stdout": subprocess.PIPE,
                            "stderr": subprocess.PIPE, **options})
        message = (f"{arguments}\nstdout: {result.stdout}\n"
                   f"stderr: {result.stderr}")
        self.assertEqual(result.returncode, status, message)
        for stream in (result.stdout, result.stderr):
            self.assertNotIn(b"\x1b", stream or b"", message)
        return result

    def train(self, **options):
        """Trains, and returns what --json says."""
        text = self.start(self.arguments(json="-", **options)).stdout.decode()
        return json.loads(text)

    def expect_error(self, status, what, arguments, **options):
        """The last line on stderr has `what` in it."""
        result = self.start(arguments, status=status, **options)
        lines = result.stderr.decode().splitlines()
        self.assertTrue(lines[-1].startswith("bq-train: "), lines)
        self.assertIn(what, lines[-1])
        if result.stdout is not None:
            self.assertEqual(result.stdout, b"")
        return lines

    def expect_usage_error(self, what, **options):
        """Found before anything is trained: one line, and nothing written."""
        lines = self.expect_error(2, what, self.arguments(**options))
        self.assertEqual(len(lines), 1, lines)
        self.assertFalse(os.path.exists(self.path("out.json")))

    def history(self, name="out.csv"):
        """The log, a dictionary of numbers for each epoch."""
        with open(self.path(name), encoding="utf-8", newline="") as file:
            return [{key: float(value) for key, value in row.items()}
                    for row in csv.DictReader(file)]

    def history_without_seconds(self, name):
        return [{k: v for k, v in row.items() if k != "seconds"}
                for row in self.history(name)]

    def accuracy_of_bq_run(self, model, dataset):
        result = subprocess.run(
            [ARGUMENTS.run, model, "--dataset", dataset, "--threads", "1",
             "--json"], check=True, stdout=subprocess.PIPE)
        return json.loads(result.stdout)["accuracy"]

    def check_agreement(self, facts, dataset):
        """What was evaluated is what was exported, and what bq-run runs."""
        self.assertEqual(facts["clearly_differing"], 0)
        wrong = abs(facts["test_accuracy"] - facts["exported_accuracy"])
        self.assertLessEqual(round(wrong * facts["test_images"]),
                             facts["differing"])
        self.assertEqual(self.accuracy_of_bq_run(self.path("out.json"),
                                                 dataset),
                         facts["exported_accuracy"])


class Methods(TrainTest):
    def check(self, least_accuracy, **options):
        facts = self.train(epochs=15, steps=300, **options)
        losses = [row["train_loss"] for row in self.history()]
        self.assertEqual(len(losses), 15)
        self.assertEqual(facts["steps"], 300)
        self.assertEqual(facts["test_images"], TEST_IMAGES)
        self.assertAlmostEqual(losses[-1], facts["train_loss"])
        self.assertLess(losses[-1], losses[0] * 0.6)
        self.assertLess(losses[-1], losses[5])
        self.assertGreaterEqual(facts["test_accuracy"], least_accuracy)
        self.check_agreement(facts, "mnist:" + self.digits)

    def test_float(self):
        self.check(0.7, method="float")

    def test_binaryconnect(self):
        self.check(0.7, method="binaryconnect")

    def test_binaryconnect_stochastic(self):
        # Its weights are all but random until they have grown.
        self.check(0.25, method="binaryconnect-stochastic", lr=0.003)

    def test_bwn(self):
        self.check(0.7, method="bwn")

    def test_bwn_trained_alpha(self):
        self.check(0.7, method="bwn", alpha="trained")

    def test_bnn(self):
        self.check(0.7, method="bnn")

    def test_xnor(self):
        self.check(0.7, method="xnor")

    def test_abcnet(self):
        self.check(0.7, method="abcnet", weight_bases=2, activation_bases=2)

    def test_abcnet_trained_alpha_fixed_shifts(self):
        self.check(0.7, method="abcnet", weight_bases=3, activation_bases=3,
                   alpha="trained", shifts="fixed")

    def test_unipolar(self):
        self.check(0.6, method="unipolar")

    def test_mlp(self):
        # All of its products are binary, the first one with float inputs.
        self.check(0.6, method="bnn", arch=self.architecture("mlp-3x1024"),
                   width=0.125)

    def test_every_method_is_tested(self):
        text = self.start(["--help"]).stdout.decode()
        methods = text[text.index("{", text.index("--method")) + 1:]
        methods = methods[:methods.index("}")].replace("\n", "")
        for method in methods.split(","):
            name = "test_" + method.strip().replace("-", "_")
            self.assertTrue(hasattr(self, name), name)


class Choices(TrainTest):
    """Optimizers, schedules, losses, and what else changes training."""

    def rate(self, schedule, step, steps):
        x = step / steps
        cosine = lambda y: (1 + math.cos(math.pi * y)) / 2
        if schedule == "cosine":
            return cosine(x)
        if schedule == "step":
            return 1 if x < 0.5 else 0.1 if x < 0.75 else 0.01
        if schedule == "one-cycle":
            if x < 0.3:
                return 1 / 25 + (1 - 1 / 25) * (1 - cosine(x / 0.3))
            return 1e-4 + (1 - 1e-4) * cosine((x - 0.3) / 0.7)
        return 1

    def test_schedules_optimizers_and_losses(self):
        losses = ("cross-entropy", "square-hinge")
        optimizers = (("adam", 0.001), ("sgd", 0.05))
        for i, schedule in enumerate(("constant", "cosine", "step",
                                      "one-cycle")):
            for optimizer, rate in optimizers:
                loss = losses[(i + len(optimizer)) % 2]
                with self.subTest(schedule=schedule, optimizer=optimizer,
                                  loss=loss):
                    facts = self.train(schedule=schedule, optimizer=optimizer,
                                       loss=loss, epochs=4, steps=20, batch=80)
                    self.assertEqual(facts["steps"], 20)
                    history = self.history()
                    self.assertLess(history[-1]["train_loss"],
                                    history[0]["train_loss"])
                    for epoch, row in enumerate(history):
                        self.assertAlmostEqual(
                            row["learning_rate"],
                            rate * self.rate(schedule, epoch * 5 + 4, 20))

    def test_momentum_and_decay_count(self):
        losses = {self.train(optimizer="sgd", method="float", **options)
                  ["train_loss"]
                  for options in ({}, {"momentum": 0}, {"weight_decay": 0.1})}
        self.assertEqual(len(losses), 3)

    def test_same_command_same_bytes(self):
        outputs = []
        for options in ({}, {"loader_threads": 0}, {"loader_threads": 3},
                        {"seed": 2}):
            self.train(method="binaryconnect-stochastic", augment="shift:2",
                       **options)
            outputs.append((self.read("out.json"),
                            self.read("out.safetensors"),
                            self.history_without_seconds("out.csv")))
        self.assertEqual(outputs[0], outputs[1])
        self.assertEqual(outputs[0], outputs[2])
        self.assertNotEqual(outputs[0][1], outputs[3][1])

    def test_limit(self):
        facts = self.train(limit=40)
        self.assertEqual(facts["test_images"], 40)
        self.assertEqual(facts["steps"], 4)

    def test_init_from(self):
        self.train(method="float", epochs=6, output=self.path("float.json"))
        scratch = self.train(method="bwn", epochs=1)
        result = self.start(self.arguments(
            method="bwn", epochs=1, json="-",
            init_from=self.path("float.ckpt")))
        self.assertRegex(result.stderr.decode(),
                         r"(\d+) of \1 tensors from .*float\.ckpt")
        self.assertLess(json.loads(result.stdout)["train_loss"],
                        scratch["train_loss"] / 2)

    def test_init_from_sets_alpha(self):
        # A trained alpha that the checkpoint has none of starts as the mean.
        self.train(method="float", epochs=4, output=self.path("float.json"))
        losses = [self.train(method=method, alpha=alpha, epochs=1, steps=1,
                             init_from=self.path("float.ckpt"))["train_loss"]
                  for method in ("bwn", "abcnet")
                  for alpha in ("mean", "trained")]
        self.assertAlmostEqual(losses[0], losses[1], places=4)
        self.assertAlmostEqual(losses[2], losses[3], places=4)

    def test_init_from_another_network(self):
        self.train(epochs=1)
        tiny = self.write("tiny.json", tiny_architecture(28, 1, 10).encode())
        self.expect_error(2, "out.ckpt: holds nothing that fits this network",
                          self.arguments(arch=tiny, width=None,
                                         output=self.path("tiny_out.json"),
                                         init_from=self.path("out.ckpt")))


class Resume(TrainTest):
    EPOCHS = 8

    def kill(self, arguments, epoch, delay):
        """Ends a run `delay` seconds after the line about `epoch`."""
        process = subprocess.Popen(
            ARGUMENTS.command + arguments, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        with process.stderr:
            for line in process.stderr:
                if line.startswith(b"epoch %d/" % epoch):
                    break
            time.sleep(delay)
            process.send_signal(signal.SIGKILL)
        self.assertEqual(process.wait(), -signal.SIGKILL)

    def check(self, **options):
        os.mkdir(self.path("whole"))
        os.mkdir(self.path("killed"))
        whole = self.arguments(epochs=self.EPOCHS,
                               output=self.path("whole", "out.json"), **options)
        killed = self.arguments(epochs=self.EPOCHS,
                                output=self.path("killed", "out.json"),
                                **options)
        self.start(whole)
        seconds = self.history("whole/out.csv")[0]["seconds"]
        # In the middle of epoch 3; then while the checkpoint of epoch 5 is
        # being written, or soon after.
        self.kill(killed, 2, seconds / 2)
        self.kill(killed + ["--resume"], 5, 0)
        self.assertFalse(os.path.exists(self.path("killed/out.json")))
        result = self.start(killed + ["--resume"])
        self.assertRegex(result.stderr.decode(), r"resumed after epoch [45]\n")
        for name in ("out.json", "out.safetensors"):
            self.assertEqual(self.read("whole/" + name),
                             self.read("killed/" + name))
        self.assertEqual(self.history_without_seconds("whole/out.csv"),
                         self.history_without_seconds("killed/out.csv"))
        # Once more: nothing is left to train, and the model is the same.
        model = self.read("killed/out.safetensors")
        os.remove(self.path("killed/out.safetensors"))
        self.start(killed + ["--resume"])
        self.assertEqual(self.read("killed/out.safetensors"), model)

    def test_adam_with_random_weights(self):
        self.check(method="binaryconnect-stochastic", optimizer="adam",
                   augment="shift:2", loader_threads=2)

    def test_sgd_with_bases(self):
        self.check(method="abcnet", weight_bases=2, activation_bases=2,
                   optimizer="sgd")

    def test_needs_the_same_options(self):
        digits = self.path("digits")
        os.symlink(self.digits, digits)
        abcnet = {"method": "abcnet", "epochs": 1}
        unipolar = {"method": "unipolar", "epochs": 1, "optimizer": "sgd",
                    "output": self.path("unipolar.json")}
        for run, others in (
                (abcnet,
                 {"arch": self.architecture("mlp-3x1024"), "width": 0.5,
                  "method": "bnn", "weight_bases": 2, "activation_bases": 2,
                  "alpha": "trained", "shifts": "fixed",
                  "dataset": "mnist:" + digits, "limit": 50,
                  "augment": "shift:1", "epochs": 3, "steps": 5, "batch": 40,
                  "seed": 7, "optimizer": "sgd", "lr": 0.5,
                  "weight_decay": 0.1, "schedule": "step",
                  "loss": "square-hinge"}),
                (unipolar, {"threshold": 0.5, "momentum": 0.5})):
            self.train(**run)
            for key, value in others.items():
                with self.subTest(option=key):
                    self.expect_error(2, ".ckpt: is of a run with --" +
                                      key.replace("_", "-") + " ",
                                      self.arguments(**{**run, "resume": True,
                                                        key: value}))

    def test_needs_the_same_data(self):
        shutil.copytree(self.digits, self.path("digits"))
        run = {"epochs": 1, "dataset": "mnist:" + self.path("digits")}
        self.train(**run)
        labels = self.path("digits", "train-labels-idx1-ubyte")
        with open(labels, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            last = file.read(1)[0]
            file.seek(-1, os.SEEK_END)
            file.write(bytes([(last + 1) % 10]))
        self.expect_error(2, "is of a run with --dataset (its content)",
                          self.arguments(**run, resume=True))

    def test_without_checkpoint(self):
        self.expect_usage_error(self.path("out.ckpt"), resume=True)

    def test_damaged_checkpoints(self):
        self.train(epochs=1)
        os.remove(self.path("out.json"))
        good = self.read("out.ckpt")
        cases = {"empty": b"", "text": b"hello\n" * 100,
                 "header": good[:64], "zeros": bytes(len(good)),
                 "half": good[:len(good) // 2], "end": good[:-1],
                 "model": self.read("out.safetensors")}
        for name, data in cases.items():
            with self.subTest(name):
                self.write("out.ckpt", data)
                self.expect_usage_error("out.ckpt: is no checkpoint",
                                        epochs=1, resume=True)
                self.expect_usage_error(
                    "bad.ckpt: is no checkpoint", epochs=1,
                    init_from=self.write("bad.ckpt", data))
        # Other bytes somewhere: an error, or not noticed, but no crash.
        for i in range(12):
            place = len(good) * i // 12 + 7 * i
            data = bytearray(good)
            data[place] ^= 0x41
            self.write("out.ckpt", data)
            result = subprocess.run(
                ARGUMENTS.command + self.arguments(epochs=1, resume=True),
                check=False, capture_output=True)
            self.assertIn(result.returncode, (0, 2), result.stderr)


class Data(TrainTest):
    def test_missing_and_truncated_files(self):
        for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte",
                     "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
            with self.subTest(name):
                folder = self.path(name)
                shutil.copytree(self.digits, folder)
                path = os.path.join(folder, name)
                with open(path, "rb") as file:
                    data = file.read()
                for cut in (0, 7, len(data) - 1):
                    with open(path, "wb") as file:
                        file.write(data[:cut])
                    self.expect_usage_error(path, dataset="mnist:" + folder)
                os.remove(path)
                self.expect_usage_error(f"{folder}: has neither {name} nor ",
                                        dataset="mnist:" + folder)

    def test_no_data_set(self):
        absent = self.path("absent")
        self.expect_usage_error(absent, dataset="mnist:" + absent)
        self.expect_usage_error("imagenet:x", dataset="imagenet:x")

    def test_one_image_is_too_few(self):
        self.expect_usage_error("a single image", limit=1)

    def test_more_classes_than_outputs(self):
        tiny = self.write("tiny.json", tiny_architecture(28, 1, 7).encode())
        self.expect_usage_error("the network has 7 outputs", arch=tiny,
                                width=None)

    def test_images_of_another_size(self):
        tiny = self.write("tiny.json", tiny_architecture(20, 1, 10).encode())
        self.expect_usage_error("28x28x1", arch=tiny, width=None)

    def write_colors(self, colors):
        for split, count in (("train", 20), ("test", 5)):
            for name, color in colors.items():
                for i in range(count):
                    shade = [max(0, c - 5 * i) for c in color]
                    self.write(f"colors/{split}/{name}/{i}.png",
                               png(8, 8, shade))

    def test_folder_of_pictures(self):
        self.write_colors({"blue": (0, 0, 255), "green\n": (0, 255, 0),
                           "red": (255, 0, 0)})
        tiny = self.write("tiny.json", tiny_architecture(8, 3, 3).encode())
        dataset = "folder:" + self.path("colors")
        facts = self.train(arch=tiny, width=None, dataset=dataset, epochs=10,
                           batch=10, augment="crop:2,flip", method="xnor")
        self.assertEqual(facts["test_images"], 15)
        self.assertEqual(facts["test_accuracy"], 1)
        model = json.loads(self.read("out.json"))
        # Line ends are no text of a model.
        self.assertEqual(model["labels"], ["blue", "green?", "red"])
        self.check_agreement(facts, dataset + "/test")

    def test_folders_with_other_classes(self):
        self.write_colors({"blue": (0, 0, 255), "green": (0, 255, 0)})
        os.rename(self.path("colors/test/green"), self.path("colors/test/red"))
        tiny = self.write("tiny.json", tiny_architecture(8, 3, 3).encode())
        self.expect_usage_error(self.path("colors/test/red"), arch=tiny,
                                width=None,
                                dataset="folder:" + self.path("colors"))

    def test_cifar10(self):
        def items(count):
            """Each class has a gray of its own."""
            return b"".join(bytes([i % 10]) + bytes([25 * (i % 10)]) * 3072
                            for i in range(count))
        for i in range(1, 6):
            self.write(f"cifar/data_batch_{i}.bin", items(20))
        self.write("cifar/test_batch.bin", items(30))
        tiny = self.write("tiny.json", tiny_architecture(32, 3, 10).encode())
        dataset = "cifar10:" + self.path("cifar")
        facts = self.train(arch=tiny, width=2, dataset=dataset, epochs=3,
                           batch=10, augment="crop:4,flip", method="bnn")
        self.assertEqual((facts["steps"], facts["test_images"]), (30, 30))
        self.assertLess(self.history()[-1]["train_loss"],
                        self.history()[0]["train_loss"])
        self.check_agreement(facts, dataset)
        os.truncate(self.path("cifar/data_batch_3.bin"), 3073 * 19 + 5)
        os.remove(self.path("out.json"))
        self.expect_usage_error("data_batch_3.bin", arch=tiny, width=None,
                                dataset=dataset)


class Outputs(TrainTest):
    def test_help(self):
        result = self.start(["--help"])
        self.assertEqual(result.stderr, b"")
        text = result.stdout.decode()
        for option in ("--arch", "--method", "--dataset", "--epochs", "--seed",
                       "--output", "--resume", "--init-from", "--plot",
                       "--json", "--limit", "--steps", "--augment"):
            self.assertIn(option, text)

    def test_files(self):
        facts = self.train(plot=self.path("curves.svg"), method="abcnet",
                           weight_bases=2, activation_bases=2)
        for key in ("train_loss", "test_accuracy", "exported_accuracy",
                    "differing"):
            self.assertIn(key, facts)
        self.assertEqual(facts["model_bytes"],
                         len(self.read("out.json") +
                             self.read("out.safetensors")))
        self.assertEqual(sorted(os.listdir(self.folder)),
                         ["curves.svg", "out.ckpt", "out.csv", "out.json",
                          "out.safetensors"])
        svg = xml.etree.ElementTree.fromstring(self.read("curves.svg"))
        self.assertEqual(svg.tag, "{http://www.w3.org/2000/svg}svg")
        text = " ".join(svg.itertext())
        for row in self.history():
            for layer in ("conv1", "conv2", "fc1", "logits"):
                self.assertIn(layer, text)
                binary = layer in ("conv2", "fc1")
                self.assertEqual(row[layer + ".quantization_error"] > 0, binary)
                self.assertLess(row[layer + ".quantization_error"], 1)
                self.assertTrue(0 <= row[layer + ".flipped"] < 1)

    def test_names_that_are_no_text(self):
        folder = self.path(os.fsdecode(b"\xff"))
        shutil.copytree(self.digits, folder)
        facts = self.train(epochs=1, dataset="mnist:" + folder,
                           output=os.path.join(folder, "out.json"),
                           plot=os.path.join(folder, "out.svg"))
        self.assertTrue(facts["model"].endswith("/\ufffd/out.json"))
        with open(os.path.join(folder, "out.svg"), "rb") as file:
            xml.etree.ElementTree.fromstring(file.read())

    def test_report_for_people(self):
        result = self.start(self.arguments(json=self.path("facts.json")))
        facts = json.loads(self.read("facts.json"))
        self.assertRegex(
            result.stdout.decode(),
            f"(?m)^accuracy +{facts['test_accuracy'] * 100:.2f} % as trained, "
            f"{facts['exported_accuracy'] * 100:.2f} % exported$")

    def test_full_disk(self):
        arguments = self.arguments(epochs=1)
        self.expect_error(1, "/dev/full", arguments + ["--log", "/dev/full"])
        self.expect_error(1, "/dev/full", arguments + ["--plot", "/dev/full"])
        self.expect_error(1, "/dev/full",
                          arguments + ["--checkpoint", "/dev/full"])
        self.assertFalse(os.path.exists(self.path("out.json")))
        self.expect_error(1, "/dev/full", arguments + ["--json", "/dev/full"])
        # The model was complete before.
        self.assertGreater(self.accuracy_of_bq_run(self.path("out.json"),
                                                   "mnist:" + self.digits), 0)
        with open("/dev/full", "wb") as full:
            self.expect_error(1, "standard output", arguments, stdout=full)

    def test_progress_on_a_terminal(self):
        """The bar comes with the third second; then the run may end."""
        folder = self.path("many")
        write_digits(folder, repeat=50)
        arguments = self.arguments(width=1, method="abcnet", weight_bases=3,
                                   activation_bases=3,
                                   dataset="mnist:" + folder)
        try:
            ours, theirs = pty.openpty()
        except OSError as error:  # a chroot without /dev/pts
            self.skipTest(f"no pseudo-terminals here: {error}")
        with subprocess.Popen(ARGUMENTS.command + arguments,
                              stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL,
                              stderr=theirs) as process:
            os.close(theirs)
            text = ""
            while " left" not in text:
                try:
                    data = os.read(ours, 65536)
                except OSError:  # the other side is closed
                    break
                text += data.decode()
            os.close(ours)
            process.kill()
        self.assertRegex(text, r"^\repoch 1/2 \d+/1000 loss \d\.\d+, "
                         r"\d+\.\d\d %, \d+ images/s, .* left")


class Example(TrainTest):
    """The network that is built by hand, tools/train/example."""

    def test_trains_and_exports(self):
        dataset, model = "mnist:" + self.digits, self.path("net.json")
        # It has no --threads, and the threads of several tests wait by spinning.
        environment = {**os.environ, "OMP_NUM_THREADS": "1",
                       "OPENBLAS_NUM_THREADS": "1"}
        result = subprocess.run([ARGUMENTS.example, dataset, model, "10"],
                                check=True, stdout=subprocess.PIPE,
                                env=environment)
        losses = [float(line.split()[-1]) for line in result.stdout.splitlines()
                  if line.startswith(b"epoch ")]
        self.assertEqual(len(losses), 10)
        self.assertLess(losses[-1], losses[0] / 2)
        self.assertGreater(self.accuracy_of_bq_run(model, dataset), 0.7)

    def test_bad_usage(self):
        for arguments in ([], ["mnist:" + self.path("absent"),
                               self.path("net.json")]):
            result = subprocess.run([ARGUMENTS.example] + arguments,
                                    check=False, stdout=subprocess.PIPE)
            self.assertEqual(result.returncode, 2)
            self.assertEqual(result.stdout.count(b"\n"), 1, result.stdout)


class BadUsage(TrainTest):
    def test_options(self):
        for options, what in (
                ({"arch": None}, "--arch"), ({"method": None}, "--method"),
                ({"dataset": None}, "--dataset"),
                ({"output": None}, "--output"),
                ({"frobnicate": True}, "--frobnicate"),
                ({"method": "ternary"}, "--method"),
                ({"optimizer": "lion"}, "--optimizer"),
                ({"schedule": "never"}, "--schedule"),
                ({"loss": "l1"}, "--loss"), ({"epochs": 0}, "--epochs"),
                ({"batch": 1}, "--batch"), ({"steps": -1}, "--steps"),
                ({"limit": -1}, "--limit"), ({"limit": "few"}, "--limit"),
                ({"lr": 0}, "--lr"), ({"lr": -1}, "--lr"),
                ({"lr": "nan"}, "--lr"), ({"lr": "inf"}, "--lr"),
                ({"weight_decay": "nan"}, "--weight-decay"),
                ({"weight_decay": -1}, "--weight-decay"),
                ({"momentum": 1.5}, "--momentum"),
                ({"momentum": "nan"}, "--momentum"),
                ({"width": 0}, "--width"), ({"width": "nan"}, "--width"),
                ({"width": 1e9}, "lenet.json: "), ({"seed": -1}, "--seed"),
                ({"threads": -1}, "--threads"),
                ({"weight_bases": 2}, "weight bases"),
                ({"method": "abcnet", "weight_bases": 65}, "1 to 64, not 65"),
                ({"method": "abcnet", "activation_bases": 0}, "1 to 64, not 0"),
                ({"threshold": "inf"}, "threshold"),
                ({"threshold": 0.5}, "--threshold changes nothing"),
                ({"alpha": "trained"}, "--alpha trained changes nothing"),
                ({"shifts": "fixed"}, "--shifts fixed changes nothing"),
                ({"momentum": 0.5}, "--momentum is for sgd"),
                ({"augment": "spin:2"}, "spin:2"),
                ({"augment": "shift:28"}, "28 pixels"),
                ({"resume": True, "init_from": "x.ckpt"}, "--init-from"),
                ({"init_from": "absent.ckpt"}, "absent.ckpt"),
                ({"output": self.path("out.txt")}, "out.txt"),
                ({"log": self.path("out.json")}, "out.json"),
                ({"json": self.path("out.safetensors")}, "out.safetensors"),
                ({"arch": "absent.json"}, "absent.json"),
                *[({key: self.path("absent", "x.json")}, self.path("absent"))
                  for key in ("output", "checkpoint", "log", "plot", "json")]):
            with self.subTest(options=options):
                self.expect_usage_error(what, **options)

    def test_what_is_read_is_not_overwritten(self):
        """However its name is spelled."""
        arch = self.path("lenet.json")
        shutil.copy(self.architecture("lenet"), arch)
        spelled = os.path.join(self.folder, ".", "lenet.json")
        self.expect_usage_error("would overwrite the architecture",
                                arch=spelled, output=arch)
        checkpoint = self.write("out.ckpt", b"weights")
        self.expect_usage_error(
            "would overwrite the checkpoint to start from",
            init_from=os.path.relpath(checkpoint))
        self.assertEqual(self.read("out.ckpt"), b"weights")
        self.expect_usage_error("would overwrite the model",
                                json=os.path.relpath(self.path("out.json")))
        shutil.copytree(self.digits, self.path("digits"))
        self.expect_usage_error(
            "would overwrite a file of the data set",
            dataset="mnist:" + self.path("digits"),
            log=self.path("digits", "train-labels-idx1-ubyte"))

    def test_architectures(self):
        def changed(change):
            graph = json.loads(tiny_architecture(28, 1, 10))
            change(graph)
            return self.write("changed.json", json.dumps(graph).encode())

        def train_average(graph):
            graph["nodes"][4]["training"] = {"quantize": 1}

        def misspell(graph):
            graph["nodes"][2]["training"] = {"quantise": 1}

        def add_softmax(graph):
            graph["nodes"].append({"name": "soft", "op": "Softmax",
                                   "inputs": ["classes"], "outputs": ["soft"]})
            graph["outputs"][0]["name"] = "soft"
        for change, status, what in (
                (train_average, 2, "node 'average' (/nodes/4/training)"),
                (misspell, 2, "node 'second' (/nodes/2/training/quantise)"),
                (add_softmax, 2, "node 'soft': bq-train does not train")):
            with self.subTest(what):
                self.expect_error(status, "changed.json: " + what,
                                  self.arguments(width=None,
                                                 arch=changed(change)))
        self.expect_usage_error("changed.json", arch=self.write("changed.json",
                                                                b"{"))

    def test_a_float_may_be_written_as_an_integer(self):
        graph = json.loads(tiny_architecture(28, 1, 10))
        graph["nodes"][2]["training"] = {"weights": "unipolar",
                                         "activations": "unipolar",
                                         "threshold": 1}
        arch = self.write("integer.json", json.dumps(graph).encode())
        self.train(arch=arch, width=None, limit=40, epochs=1)

    def test_diverging_is_an_error(self):
        lines = self.expect_error(2, "the loss is", self.arguments(
            method="float", optimizer="sgd", lr=1e30, schedule="constant"))
        self.assertIn("--lr", lines[-1])
        self.assertFalse(os.path.exists(self.path("out.json")))


def main():
    global ARGUMENTS
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--architectures", required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--example", required=True)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("command", nargs="+")
    ARGUMENTS = parser.parse_args()
    unittest.main(argv=sys.argv[:1] + ARGUMENTS.only)


if __name__ == "__main__":
    main()
