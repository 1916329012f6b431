"""bq-run from outside: files in, text, files and exit statuses out.

run_cli_test.py --models DIR --data DIR --plugins DIR -- BQ_RUN...
DIR of models is written by run_fixtures. What follows -- starts bq-run, through
an emulator perhaps.
"""

import argparse
import datetime
import errno
import fcntl
import json
import os
import pty
import re
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import unittest
import zlib

from cli_test_util import png

ARGUMENTS = None


def npy(shape, values, descr="<f4"):
    """The bytes of an .npy file."""
    code = {"<f4": "f", "<f8": "d", "|u1": "B"}[descr]
    header = repr({"descr": descr, "fortran_order": False,
                   "shape": tuple(shape)}) + "\n"
    return (b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) +
            header.encode() + struct.pack(f"<{len(values)}{code}", *values))


def read_npy(path):
    with open(path, "rb") as file:
        data = file.read()
    length = struct.unpack("<H", data[8:10])[0]
    header = eval(data[10:10 + length])  # of our own making
    assert header["descr"] == "<f4" and not header["fortran_order"], header
    body = data[10 + length:]
    return list(header["shape"]), list(struct.unpack(f"<{len(body) // 4}f",
                                                     body))


def ramp(count):
    """Values of both signs that float32 holds exactly."""
    return [(i * 37 % 101 - 50) / 8 for i in range(count)]


class RunTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="bqe_run_")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)
        return self.path(name)

    @staticmethod
    def model(name):
        return os.path.join(ARGUMENTS.models, name + ".json")

    @staticmethod
    def mnist():
        return os.path.join(ARGUMENTS.data, "mnist-500")

    @staticmethod
    def environment(**variables):
        environment = {k: v for k, v in os.environ.items()
                       if k != "BQENGINE_BACKEND"}
        environment.update(variables)
        return environment

    def start(self, *arguments, status=0, env=None, **options):
        """Runs bq-run without a terminal; its exit status must be `status`."""
        result = subprocess.run(
            ARGUMENTS.command + list(arguments), stdin=subprocess.DEVNULL,
            env=env or self.environment(), check=False,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options})
        message = (f"{arguments}\nstdout: {result.stdout}\n"
                   f"stderr: {result.stderr}")
        self.assertEqual(result.returncode, status, message)
        # No command for the terminal, whatever a file says.
        if "--json" not in arguments:
            self.check_printable(result.stdout, message)
        self.check_printable(result.stderr, message)
        return result

    def check_printable(self, stream, message):
        """UTF-8 without C0, C1, bidi or invisible characters."""
        text = (stream or b"").decode()
        self.assertNotRegex(
            text, "[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f"
                  "\u2028-\u202e\u2060-\u206f\ufeff]", message)

    def run_text(self, *arguments, **options):
        return self.start(*arguments, **options).stdout.decode()

    def run_json(self, *arguments, **options):
        """stdout must be one JSON object and nothing else."""
        facts = json.loads(self.run_text(*arguments, "--json", **options))
        self.assertIsInstance(facts, dict)
        return facts

    def expect_error(self, status, what, *arguments, **options):
        """One line on stderr with `what` in it, nothing on stdout."""
        result = self.start(*arguments, status=status, **options)
        error = result.stderr.decode()
        self.assertTrue(error.startswith("bq-run: "), error)
        self.assertEqual(error.count("\n"), 1, error)
        self.assertTrue(error.endswith("\n"), error)
        self.assertIn(what, error)
        if result.stdout is not None:
            self.assertEqual(result.stdout, b"")

    def check_latency(self, facts):
        latency = facts["latency_us"]
        self.assertEqual(list(latency), ["min", "median", "p90", "p99"])
        self.assertGreater(latency["min"], 0)
        self.assertLessEqual(latency["min"], latency["median"])
        self.assertLessEqual(latency["median"], latency["p90"])
        self.assertLessEqual(latency["p90"], latency["p99"])
        self.assertGreater(facts["cpu_us"], 0)
        self.check_provenance(facts)

    def check_provenance(self, facts):
        self.assertRegex(facts["version"], r"^\d+\.\d+\.\d+$")
        self.assertRegex(facts["commit"],
                         r"^([0-9a-f]{40}(-dirty)?|unknown)$")
        self.assertGreater(len(facts["cpu"]), 0)
        written = datetime.datetime.strptime(facts["date"],
                                             "%Y-%m-%dT%H:%M:%SZ")
        age = datetime.datetime.utcnow() - written
        self.assertLess(abs(age.total_seconds()), 24 * 3600)


class Usage(RunTest):
    def test_help(self):
        result = self.start("--help")
        text = result.stdout.decode()
        self.assertEqual(result.stderr, b"")
        for option in ("--input", "--output", "--topk", "--dataset", "--limit",
                       "--show", "--benchmark", "--batch", "--runs",
                       "--threads", "--backend", "--plugin", "--profile",
                       "--json", "--list-backends", "--help", "--version",
                       "--map-weights", "--max-tensor-elements",
                       "--max-weight-bytes", "--max-arena-bytes"):
            self.assertIn(option, text)
        self.assertIn("Examples:", text)
        self.assertIn("Exit status:", text)
        self.assertEqual(self.run_text("-h"), text)

    def test_version(self):
        self.assertRegex(self.run_text("--version"),
                         r"^bq-run \d+\.\d+\.\d+\n$")

    def test_bad_usage(self):
        digits = self.model("digits")
        mnist = "mnist:" + self.mnist()
        for arguments, what in (
                ((), "no model"),
                ((digits, "--profile", "t.json"), "--profile"),
                (("--dataset", mnist), "no model"),
                ((digits, "--frobnicate"), "--frobnicate"),
                ((digits, "second.json", "--benchmark"), "second.json"),
                ((digits, "--dataset"), "--dataset"),
                ((digits, "--dataset", mnist, "--limit", "0"), "--limit"),
                ((digits, "--dataset", mnist, "--limit", "0"),
                 "not in range 1 to "),
                ((digits, "--benchmark", "--runs", "0"), "not in range 1 to "),
                ((digits, "--input", "x.npy", "--topk", "0"),
                 "not in range 1 to "),
                ((digits, "--dataset", mnist, "--limit", "-3"), "--limit"),
                ((digits, "--dataset", mnist, "--limit", "few"), "--limit"),
                ((digits, "--dataset", mnist, "--limit",
                  "99999999999999999999"), "--limit"),
                ((digits, "--dataset", mnist, "--batch", "0"), "--batch"),
                ((digits, "--dataset", mnist, "--batch", "9999999999"),
                 "--batch"),
                ((digits, "--dataset", mnist, "--threads", "-1"), "--threads"),
                ((digits, "--dataset", mnist, "--threads", "5000"),
                 "--threads"),
                ((digits, "--dataset", mnist, "--benchmark"), "--benchmark"),
                ((digits, "--dataset", mnist, "--input", "x.npy"), "--input"),
                ((digits, "--benchmark", "--limit", "3"), "--limit"),
                ((digits, "--benchmark", "--show", "3"), "--show"),
                ((digits, "--benchmark", "--output", "y.npy"), "--output"),
                ((digits, "--dataset", mnist, "--runs", "3"), "--runs"),
                ((digits, "--dataset", mnist, "--topk", "3"), "--topk"),
                ((digits, "--dataset", "imagenet:x"), "imagenet:x"),
                ((digits, "--list-backends"), "--list-backends")):
            with self.subTest(arguments=arguments):
                self.expect_error(2, what, *arguments)


class BadInput(RunTest):
    def test_models(self):
        empty = self.write("empty.json", b"")
        broken = self.write("broken.json", b"{\"format\"")
        for path in (self.path("absent.json"), self.folder, empty, broken,
                     self.write("pixels.json", png(2, 2, (0, 0, 0)))):
            with self.subTest(path=path):
                self.expect_error(2, path, path, "--benchmark")
                self.expect_error(2, path, path)

    def test_model_without_weights(self):
        # The model that ships keeps its weights in a file beside it.
        source = os.path.join(ARGUMENTS.data, "models", "lenet-xnor-mnist")
        alone = self.path("lenet-xnor-mnist.json")
        shutil.copy(source + ".json", alone)
        self.expect_error(2, "lenet-xnor-mnist.safetensors", alone,
                          "--benchmark")
        with open(source + ".safetensors", "rb") as file:
            self.write("lenet-xnor-mnist.safetensors", file.read()[:-1])
        self.expect_error(2, "lenet-xnor-mnist.safetensors", alone,
                          "--benchmark")

    def test_sizes_beyond_the_machine(self):
        """One line that starts with the model, whatever is too large."""
        with open(ARGUMENTS.command[-1], "rb") as file:
            if b"__asan_init" in file.read():
                self.skipTest("ASan ends a program that asks for too much")
        with open(self.model("relu"), encoding="utf-8") as file:
            good = json.load(file)
        for exponent, status in ((46, 1), (58, 1), (59, 1), (60, 1), (61, 2),
                                 (62, 2), (63, 2)):
            good["inputs"][0]["shape"] = ["batch", 2 ** (exponent - 30),
                                         2 ** 15, 2 ** 15]
            path = self.write("huge.json", json.dumps(good).encode())
            one = self.write("one.npy", npy([1, 1, 1, 1], [1.0]))
            with self.subTest(exponent=exponent):
                self.expect_error(status, path + ": ", path, "--benchmark")
                self.expect_error(status, path + ": ", path, "--input", one)

    def test_inputs(self):
        good = npy([1, 1, 28, 28], ramp(784))
        for name, data, what in (
                ("empty.npy", b"", "is empty"),
                ("text.npy", b"hello, world", "neither .npy nor"),
                ("cut.npy", good[:-1], "the file holds"),
                ("long.npy", good + b"x", "the file holds"),
                ("shape.npy", npy([1, 28, 28, 1], ramp(784)),
                 "has shape 1x28x28x1, but input 'x' takes Nx1x28x28"),
                ("rank.npy", npy([784], ramp(784)), "has shape 784"),
                ("none.npy", npy([0, 1, 28, 28], []), "N >= 1"),
                ("cut.png", png(28, 28, (1, 2, 3))[:50], "damaged"),
                ("cut.gz", b"\x1f\x8b\x08\x00", "cut.gz"),
                ("cut.idx", b"\0\0\x08\x03\0\0", "truncated")):
            with self.subTest(name=name):
                path = self.write(name, data)
                for mode in (("--topk", "1"), ("--benchmark",)):
                    self.expect_error(2, path + ": ", self.model("digits"),
                                      "--input", path, *mode)
                    self.expect_error(2, what, self.model("digits"),
                                      "--input", path, *mode)
        for path in (self.path("absent.npy"), self.folder):
            self.expect_error(2, path + ": ", self.model("digits"), "--input",
                              path)

    def test_no_permission(self):
        path = self.write("secret.npy", npy([1, 1, 28, 28], ramp(784)))
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("root may read everything")
        self.expect_error(2, path, self.model("digits"), "--input", path)

    def test_wrong_number_of_files(self):
        one = self.write("one.npy", npy([1, 5], ramp(5)))
        two = self.write("two.npy", npy([2, 5], ramp(10)))
        picture = self.write("x.png", png(4, 4, (1, 2, 3)))
        model = self.model("sum")
        self.expect_error(2, "2 inputs", model, "--input", one)
        self.expect_error(2, "holds 2 items", model, "-i", one, "-i", two)
        self.expect_error(2, "2 outputs", model, "-i", one, "-i", one, "-o",
                          self.path("y.npy"))
        self.expect_error(2, "mixed", model, "-i", one, "-i", picture)
        self.expect_error(2, "one input", model, "-i", picture)
        self.expect_error(2, "takes no pictures", self.model("relu"), "-i",
                          picture)
        self.expect_error(2, "1 items only", model, "-i", one, "-i", one,
                          "--benchmark", "--batch", "2")

    def test_datasets(self):
        digits = self.model("digits")
        absent = self.path("absent")
        self.expect_error(2, absent, digits, "--dataset", "mnist:" + absent)
        self.expect_error(2, absent, digits, "--dataset", "cifar10:" + absent)
        self.expect_error(2, self.folder, digits, "--dataset",
                          "mnist:" + self.folder)
        # Color pictures for a gray model; ten digits for three colors.
        cifar = self.write("x.bin", b"\1" + bytes(3072))
        self.expect_error(2, "3 channels", digits, "--dataset",
                          "cifar10:" + cifar)
        self.expect_error(2, "has 10 classes (labels 0 to 9), but the network "
                          "has 3 outputs", self.model("color"),
                          "--dataset", "mnist:" + self.mnist())

    def test_backends_and_plugins(self):
        digits = self.model("digits")
        self.expect_error(2, "abacus", digits, "--benchmark", "--backend",
                          "abacus")
        self.expect_error(2, "abacus", digits, "--benchmark",
                          env=self.environment(BQENGINE_BACKEND="abacus"))
        self.expect_error(2, "abacus", "--list-backends", "--backend", "abacus")
        for path in (self.path("absent.so"), self.folder,
                     self.write("text.so", b"no library")):
            with self.subTest(path=path):
                self.expect_error(2, path, digits, "--benchmark", "--plugin",
                                  path)
        pipe = self.path("pipe.so")
        os.mkfifo(pipe)
        self.expect_error(2, "not a regular file", digits, "--benchmark",
                          "--plugin", pipe)


class Limits(RunTest):
    """What a model may make bq-run take, whatever a few bytes ask for."""

    def relu(self, *shape):
        with open(self.model("relu"), encoding="utf-8") as file:
            model = json.load(file)
        model["inputs"][0]["shape"] = ["batch", *shape]
        return self.write("m.json", json.dumps(model).encode())

    def test_elements(self):
        path = self.relu(30000, 30000, 1)
        for mode in ((), ("--benchmark",), ("--input", path)):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            self.expect_error(
                1, "m.json: input 'x': a tensor of Nx30000x30000x1 has "
                "900000000 elements, more than --max-tensor-elements, "
                "134217728", path, *mode)
            # The largest of all children so far.
            after = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            self.assertLess(after, max(before, 1000000))
        small = self.relu(2, 3, 4)
        self.start(small, "--max-tensor-elements", "24")
        self.expect_error(1, "more than --max-tensor-elements, 23", small,
                          "--max-tensor-elements", "23")

    def test_buffers_and_arena(self):
        path = self.relu(1024, 1024, 1)
        for name, batch in (("input 'x'", "1024"), ("input 'x'", "300")):
            self.expect_error(
                1, f"m.json: {name}: a batch of {batch} takes "
                f"{int(batch) * 4194304} bytes, more than --max-arena-bytes, "
                "1073741824", path, "--benchmark", "--batch", batch)
        self.start(path, "--benchmark", "--batch", "2", "--runs", "1",
                   "--max-arena-bytes", "8M")
        self.expect_error(1, "more than --max-arena-bytes, 7340032", path,
                          "--benchmark", "--batch", "2", "--max-arena-bytes",
                          "7M")
        # What only a session needs.
        self.expect_error(1, "needs most of the", self.model("digits"),
                          "--max-arena-bytes", "10")

    def test_weights(self):
        model = self.model("digits")
        self.start(model, "--max-weight-bytes", "1M")
        self.expect_error(1, "more than --max-weight-bytes, 10", model,
                          "--max-weight-bytes", "10")

    def test_pictures_that_grow(self):
        with open(self.model("color"), encoding="utf-8") as file:
            model = json.load(file)
        model["inputs"][0]["shape"] = ["batch", 4000, 4000, 3]
        path = self.write("m.json", json.dumps(model).encode())
        dot = self.write("dot.png", png(1, 1, (1, 2, 3)))
        self.expect_error(
            1, "dot.png: input 'x': a batch of 1 takes 192000000 bytes, more "
            "than --max-arena-bytes, 104857600", path, "--input", dot,
            "--max-arena-bytes", "100M")

    def test_what_is_no_number(self):
        for value in ("x", "-1", "1.5", ""):
            self.expect_error(2, "--max-arena-bytes", self.model("relu"),
                              "--max-arena-bytes", value)


class Weights(RunTest):
    def test_mapping_changes_nothing(self):
        picture = self.write("d.png", png(28, 28, (9, 9, 9)))
        plain = self.run_json(self.model("digits"), "--input", picture)
        mapped = self.run_json(self.model("digits"), "--input", picture,
                               "--map-weights")
        self.assertEqual(plain["predictions"], mapped["predictions"])


class FailureAtRunTime(RunTest):
    def setUp(self):
        super().setUp()
        self.input = self.write("x.npy", npy([2, 4, 2, 3], ramp(48)))
        self.relu = (self.model("relu"), "--input", self.input)

    def test_outputs(self):
        nowhere = self.path("absent/y.npy")
        self.expect_error(1, nowhere, *self.relu, "--output", nowhere)
        self.expect_error(1, self.folder, *self.relu, "--output", self.folder)
        self.expect_error(1, nowhere, *self.relu, "--profile", nowhere)
        if os.path.exists("/dev/full"):
            self.expect_error(1, "/dev/full", *self.relu, "--output",
                              "/dev/full")

    def test_full_disk_behind_stdout(self):
        if not os.path.exists("/dev/full"):
            self.skipTest("no /dev/full")
        for arguments in (self.relu, ("--help",), ("--list-backends",)):
            with open("/dev/full", "wb") as full:
                if arguments == ("--help",):
                    self.start(*arguments, status=1, stdout=full)
                else:
                    self.expect_error(1, "standard output", *arguments,
                                      stdout=full)

    def test_limit_on_the_size_of_files(self):
        """SIGXFSZ, which ends a program that does not expect it."""
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        output = self.write("y.npy", b"old")
        self.expect_error(1, "y.npy: cannot be written: File too large",
                          *self.relu, "--output", output, preexec_fn=limit)
        with open(output, "rb") as file:
            self.assertEqual(file.read(), b"old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["x.npy", "y.npy"])
        with open(self.path("stdout"), "wb") as stdout:
            self.expect_error(1, "standard output", *self.relu, stdout=stdout,
                              preexec_fn=limit)

    def test_outputs_keep_their_mode(self):
        output = self.write("y.npy", b"old")
        os.chmod(output, 0o600)
        self.start(*self.relu, "--output", output)
        self.assertEqual(os.stat(output).st_mode & 0o7777, 0o600)

    def test_outputs_that_are_taken(self):
        """No file that is read is written over, and none written twice."""
        picture = self.write("d.png", png(28, 28, (9, 9, 9)))
        link = self.path("link.npy")
        os.symlink(picture, link)
        for suffix in (".json", ".safetensors"):
            shutil.copy(self.model("digits").replace(".json", suffix),
                        self.folder)
        model = self.path("digits.json")
        new = self.path("new.npy")
        for arguments in (
                ("--output", picture), ("--output", link),
                ("--output", os.path.join(self.folder, ".", "d.png")),
                ("--output", model), ("--profile", model),
                ("--output", self.path("digits.safetensors")),
                ("--profile", picture), ("--output", new, "--output", new),
                ("--output", new, "--profile",
                 os.path.join(self.folder, "absent", "..", "new.npy"))):
            with self.subTest(arguments=arguments):
                before = {name: os.stat(self.path(name)).st_mtime_ns
                          for name in sorted(os.listdir(self.folder))}
                self.expect_error(2, "would overwrite", model, "--input",
                                  picture, *arguments)
                self.assertEqual(before, {
                    name: os.stat(self.path(name)).st_mtime_ns
                    for name in sorted(os.listdir(self.folder))})
        cifar = self.write("x.bin", b"\1" + bytes(3072))
        self.expect_error(2, "would overwrite --dataset", model, "--dataset",
                          "cifar10:" + cifar, "--profile", cifar)
        self.start(model, "--input", picture, "--output", "/dev/null",
                   "--profile", "/dev/null")

    def test_old_output_survives_bad_input(self):
        output = self.write("y.npy", b"old")
        self.expect_error(2, "absent", self.model("relu"), "--input",
                          self.path("absent.npy"), "--output", output)
        with open(output, "rb") as file:
            self.assertEqual(file.read(), b"old")
        self.assertEqual(sorted(os.listdir(self.folder)), ["x.npy", "y.npy"])


class Describe(RunTest):
    def test_text(self):
        text = self.run_text(self.model("digits"))
        self.assertRegex(text, r"(?m)^input +x: float32 Nx1x28x28 \(NCHW\)$")
        self.assertRegex(text,
                         r"(?m)^pixels +\(pixel \* 0.0039\d* - 0.5\) / 0.5$")
        self.assertRegex(text, r"(?m)^output +scores: float32 Nx10$")
        self.assertRegex(text, r"(?m)^labels +10: d0 to d9$")
        self.assertRegex(text, r"(?m)^weights +1.08 kB, 31.4 kB as float32$")
        self.assertRegex(text, r"(?m)^layer +op +output +backend$")
        self.assertRegex(text, r"(?m)^scores +BinaryGemm +10 +\S+$")

    def test_json(self):
        facts = self.run_json(self.model("sum"), "--backend", "reference")
        self.assertEqual([i["name"] for i in facts["inputs"]], ["x", "x2"])
        self.assertEqual([(o["name"], o["type"]) for o in facts["outputs"]],
                         [("sum", "float32"), ("sign", "bipolar")])
        self.assertEqual(facts["inputs"][0]["shape"], [-1, 5])
        self.assertEqual({layer["backend"] for layer in facts["layers"]},
                         {"reference"})
        self.assertEqual(facts["weight_bytes"], 0)


class Infer(RunTest):
    def test_layout_and_batches(self):
        count = 70
        values = ramp(count * 24)
        path = self.write("x.npy", npy([count, 4, 2, 3], values))
        output = self.path("y.npy")
        for batch in ((), ("--batch", "1"), ("--batch", "7"),
                      ("--batch", "1000")):
            with self.subTest(batch=batch):
                facts = self.run_json(self.model("relu"), "--input", path,
                                      "--output", output, *batch)
                shape, result = read_npy(output)
                self.assertEqual(shape, [count, 4, 2, 3])
                self.assertEqual(result, [max(v, 0.0) for v in values])
                self.assertEqual(facts["count"], count)
                self.assertEqual(facts["outputs"],
                                 [{"name": "y", "file": output,
                                   "shape": shape}])
                self.assertNotIn("predictions", facts)
                self.check_latency(facts)
        self.assertEqual(sorted(os.listdir(self.folder)), ["x.npy", "y.npy"])

    def test_other_number_types(self):
        output = self.path("y.npy")
        values = [v % 7 for v in range(24)]
        for descr in ("<f8", "|u1"):
            path = self.write("x.npy", npy([1, 4, 2, 3], values, descr))
            self.start(self.model("relu"), "-i", path, "-o", output)
            self.assertEqual(read_npy(output)[1], values)

    def test_input_from_a_pipe(self):
        path = self.path("pipe")
        os.mkfifo(path)
        writer = os.fork()
        if writer == 0:
            with open(path, "wb") as pipe:
                pipe.write(npy([1, 4, 2, 3], ramp(24)))
            os._exit(0)
        output = self.path("y.npy")
        self.start(self.model("relu"), "-i", path, "-o", output)
        os.waitpid(writer, 0)
        self.assertEqual(read_npy(output)[1], [max(v, 0.0) for v in ramp(24)])

    def test_several_inputs_and_outputs(self):
        first = self.write("1.npy", npy([3, 5], ramp(15)))
        second = self.write("2.npy", npy([3, 5], [1.0] * 15))
        sums, signs = self.path("sum.npy"), self.path("sign.npy")
        self.start(self.model("sum"), "-i", first, "-i", second, "-o", sums,
                   "-o", signs)
        expected = [v + 1 for v in ramp(15)]
        self.assertEqual(read_npy(sums), ([3, 5], expected))
        self.assertEqual(read_npy(signs)[1],
                         [1.0 if v >= 0 else -1.0 for v in expected])

    def test_threads_and_backends_agree(self):
        path = self.write("x.npy", npy([9, 1, 28, 28], ramp(9 * 784)))
        names = [b["name"] for b in
                 self.run_json("--list-backends")["backends"] if b["usable"]]
        self.assertIn("reference", names)
        results = set()
        cores = len(os.sched_getaffinity(0))
        for name in names:
            for threads in (1, 2):
                output = self.path("y.npy")
                facts = self.run_json(self.model("digits"), "-i", path, "-o",
                                      output, "--backend", name, "--threads",
                                      str(threads))
                self.assertEqual(facts["threads"], min(threads, cores))
                self.assertEqual(facts["backend"], name)
                with open(output, "rb") as file:
                    results.add(file.read())
        self.assertEqual(len(results), 1)
        if cores < 2:
            self.skipTest("one core: helper threads are not tested")

    def test_topk(self):
        path = self.write("x.npy", npy([2, 1, 28, 28], ramp(2 * 784)))
        output = self.path("y.npy")
        facts = self.run_json(self.model("digits"), "-i", path, "-o", output,
                              "--topk", "3")
        scores = read_npy(output)[1]
        self.assertEqual(len(facts["predictions"]), 2)
        for item, prediction in enumerate(facts["predictions"]):
            row = scores[item * 10:item * 10 + 10]
            best = sorted(range(10), key=lambda i: (-row[i], i))[:3]
            top = prediction["top"]
            self.assertEqual([t["class"] for t in top], best)
            self.assertEqual([t["label"] for t in top],
                             [f"d{i}" for i in best])
            for entry in top:
                self.assertAlmostEqual(entry["score"], row[entry["class"]], 6)
            confidences = [t["confidence"] for t in top]
            self.assertEqual(confidences, sorted(confidences, reverse=True))
            self.assertLessEqual(sum(confidences), 1 + 1e-9)
        text = self.run_text(self.model("digits"), "-i", path, "--topk", "1")
        self.assertRegex(text, r"(?m)^item 0 +d\d \(\d+\.\d %\)$")
        # More classes than there are; and five if nothing is said.
        for arguments, expected in ((("--topk", "99"), 10), ((), 5)):
            facts = self.run_json(self.model("digits"), "-i", path, *arguments)
            self.assertEqual(len(facts["predictions"][0]["top"]), expected)

    def test_no_confidence_in_counts(self):
        path = self.write("x.npy", npy([1, 1, 28, 28], ramp(784)))
        facts = self.run_json(self.model("counts"), "-i", path)
        self.check_latency(facts)
        self.assertNotIn("confidence", facts["predictions"][0]["top"][0])
        text = self.run_text(self.model("counts"), "-i", path)
        self.assertRegex(text, r"item 0 +\d \(score -?\d+\)")
        # One run is no distribution.
        self.assertRegex(text, r"(?m)^latency +\S+ .?s \(first run\) per item$")
        several = self.write("3.npy", npy([3, 1, 28, 28], ramp(3 * 784)))
        text = self.run_text(self.model("counts"), "-i", several, "--batch",
                             "1")
        self.assertRegex(text, r"(?m)^latency +\S+ .?s \(first run\), then "
                               r"\S+ .?s( to \S+ .?s)? per item$")
        self.assertNotIn("%", text)

    def test_pictures(self):
        red = self.write("red.png", png(4, 4, (255, 10, 0)))
        blue = self.write("blue.png", png(9, 5, (0, 0, 255)))
        result = self.start(self.model("color"), "-i", red, "-i", blue,
                            "--topk", "1", "--json")
        predictions = json.loads(result.stdout)["predictions"]
        self.assertEqual([p["item"] for p in predictions], [red, blue])
        self.assertEqual([p["top"][0]["label"] for p in predictions],
                         ["red", "blue"])
        # What a model's own softmax says is not softened again.
        self.assertGreater(predictions[0]["top"][0]["confidence"], 0.55)
        self.assertEqual(result.stderr.decode(),
                         f"bq-run: {blue}: resized from 9x5 to 4x4\n")

    def test_integers(self):
        """A uint8 input takes pixels, and arrays of integers, as they are."""
        output = self.path("y.npy")
        pixel = [250, 100, 5]
        sums = [250 + 100 - 5, 250 - 100 + 5] * 4
        for name, data in (
                ("a.png", png(2, 2, tuple(pixel))),
                ("a.npy", npy([1, 2, 2, 3], pixel * 4, "|u1")),
                ("b.npy", npy([1, 2, 2, 3], pixel * 4))):
            self.run_text(self.model("pixels"), "-i", self.write(name, data),
                          "-o", output)
            self.assertEqual(read_npy(output), ([1, 2, 2, 2], sums), name)
        for bad in (256, -1, 0.5, float("nan")):
            path = self.write("bad.npy", npy([1, 2, 2, 3], [bad] * 12))
            self.expect_error(2, "which is no number of type uint8",
                              self.model("pixels"), "-i", path)
        self.run_text(self.model("pixels"), "--benchmark", "--runs", "3")

    def test_idx(self):
        path = os.path.join(self.mnist(), "t10k-images-idx3-ubyte.gz")
        facts = self.run_json(self.model("digits"), "-i", path, "--topk", "1")
        self.assertEqual(facts["count"], 500)
        self.assertEqual(len(facts["predictions"]), 500)
        self.assertEqual(facts["predictions"][499]["item"], path + "[499]")


class Datasets(RunTest):
    def dataset(self):
        return ("--dataset", "mnist:" + self.mnist())

    def test_json(self):
        facts = self.run_json(self.model("digits"), *self.dataset(), "--limit",
                              "40", "--show", "3")
        for key in ("accuracy", "correct", "count", "backend", "threads",
                    "latency_us", "model", "dataset", "images_per_second"):
            self.assertIn(key, facts)
        self.check_latency(facts)
        self.assertEqual(facts["count"], 40)
        self.assertEqual(facts["accuracy"], facts["correct"] / 40)
        self.assertAlmostEqual(facts["images_per_second"] *
                               facts["latency_us"]["median"] / 1e6, 1)
        self.assertEqual(facts["batch"], 1)
        self.assertEqual([p["label"] for p in facts["predictions"]], [7, 2, 1])

    def test_batches_change_nothing(self):
        counts = {self.run_json(self.model("digits"), *self.dataset(),
                                "--limit", "50", "--batch", batch)["correct"]
                  for batch in ("1", "7", "50", "64")}
        self.assertEqual(len(counts), 1)

    def test_accuracy_against_own_count(self):
        """The same images as idx input, compared with the labels here."""
        images = os.path.join(self.mnist(), "t10k-images-idx3-ubyte.gz")
        with open(os.path.join(self.mnist(), "t10k-labels-idx1-ubyte.gz"),
                  "rb") as file:
            labels = zlib.decompress(file.read(), 31)[8:]
        top = self.run_json(self.model("digits"), "-i", images, "--topk", "1")
        correct = sum(p["top"][0]["class"] == label for p, label in
                      zip(top["predictions"], labels, strict=True))
        facts = self.run_json(self.model("digits"), *self.dataset())
        self.assertEqual(facts["correct"], correct)
        self.assertEqual(facts["count"], 500)

    def test_folder(self):
        """Black and white squares; classes are the labels of the model that
        ships, by name and not by the order of the folders."""
        for name in ("7", "1"):
            folder = self.path(name)
            os.mkdir(folder)
            for i in range(3):
                self.write(os.path.join(name, f"{i}.png"), png(28, 28, [0, 0, 0]))
        model = os.path.join(ARGUMENTS.data, "models", "lenet-xnor-mnist.json")
        spec = "folder:" + self.folder
        facts = self.run_json(model, "--dataset", spec, "--show", "9")
        self.assertEqual(facts["count"], 6)
        self.assertEqual([p["label"] for p in facts["predictions"]],
                         [1, 7, 1, 7, 1, 7])
        facts = self.run_json(model, "--dataset", spec, "--limit", "2")
        self.assertEqual(facts["count"], 2)
        os.mkdir(self.path("cat"))
        self.write("cat/x.png", png(28, 28, [0, 0, 0]))
        self.expect_error(2, "class 'cat' is not among", model, "--dataset",
                          spec)

    def test_folder_of_numbers(self):
        """Of a model without labels a folder's number is its class."""
        def make(names):
            shutil.rmtree(self.path("set"), ignore_errors=True)
            for name in names:
                os.makedirs(self.path(f"set/{name}"))
                self.write(f"set/{name}/x.png", png(28, 28, [0, 0, 0]))
            return "folder:" + self.path("set")
        counts = self.model("counts")
        spec = make(["7", "1"])
        facts = self.run_json(counts, "--dataset", spec, "--show", "9")
        self.assertEqual([p["label"] for p in facts["predictions"]], [1, 7])
        self.expect_error(2, spec + ": folder '10' is class 10, but the "
                          "network has 10 outputs", counts, "--dataset",
                          make(["0", "10"]))
        # Other names: one for each output, or none at all.
        for count in (9, 11):
            self.expect_error(2, f"{spec}: has {count} classes", counts,
                              "--dataset", make("abcdefghijkl"[:count]))
        facts = self.run_json(counts, "--dataset", make("abcdefghij"), "--show",
                              "10")
        self.assertEqual([p["label"] for p in facts["predictions"]],
                         list(range(10)))

    def test_the_model_that_ships(self):
        model = os.path.join(ARGUMENTS.data, "models", "lenet-xnor-mnist.json")
        text = self.run_text(model, *self.dataset(), "--limit", "100",
                             "--show", "2")
        # Its first layer is float: an image may differ between machines.
        correct = int(self.assert_match(text, r"accuracy .*\((\d+)/100\)"))
        self.assertGreaterEqual(correct, 97)
        self.assert_match(text, r"(?m)^backend +\S+ \(.+\)$")
        self.assert_match(text, r"(?m)^threads +1$")
        self.assert_match(text, r"latency +min .*, median .*, p90 .*, p99 .* per image")
        self.assert_match(text, r"(?m)^CPU time +mean .* per image$")
        self.assert_match(text, r"(?m)^image 0 +7 \(\d+\.\d %\), truth 7$")

    def assert_match(self, text, pattern):
        self.assertRegex(text, pattern)
        groups = re.search(pattern, text).groups()
        return groups[0] if groups else None


class Benchmark(RunTest):
    def test_random_values(self):
        facts = self.run_json(self.model("digits"), "--benchmark", "--runs",
                              "5", "--batch", "3")
        self.check_latency(facts)
        self.assertEqual(facts["runs"], 5)
        self.assertEqual(facts["batch"], 3)
        self.assertGreaterEqual(facts["warm_up_runs"], 3)
        self.assertGreater(facts["inferences_per_second"], 0)
        self.assertAlmostEqual(facts["inferences_per_second"] *
                               facts["latency_us"]["median"] / 3e6, 1)
        text = self.run_text(self.model("sum"), "--benchmark", "--runs", "2")
        self.assertRegex(text, r"latency +median .* per item")
        self.assertNotIn("p90", text)
        self.assertRegex(text, r"speed .* inferences/s at the median")
        text = self.run_text(self.model("sum"), "--benchmark", "--runs", "20")
        self.assertRegex(
            text, r"latency +min .*, median .*, p90 .*, p99 .* per item")
        self.assertRegex(text, r"(?m)^CPU time +mean .* per item$")

    def test_says_when_others_use_the_machine(self):
        """Twice as many busy loops as cores; then nobody can have it alone."""
        if not os.path.exists("/proc/self/schedstat"):
            self.skipTest("this system does not say who waited for a core")
        loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                 for _ in range(2 * os.cpu_count())]
        try:
            result = self.start(self.model("digits"), "--benchmark", "--json")
        finally:
            for loop in loops:
                loop.kill()
                loop.wait()
        message = result.stderr.decode()
        self.assertRegex(message, r"^bq-run: others use the machine: runs "
                                  r"waited for a core \d+ % of the time.*\n$")
        facts = json.loads(result.stdout)
        self.assertIs(facts["disturbed"], True)
        self.assertGreater(facts["waited_share"], 0.02)
        self.assertLessEqual(facts["waited_share"], 1)

    def test_given_values(self):
        path = self.write("x.npy", npy([5, 1, 28, 28], ramp(5 * 784)))
        text = self.run_text(self.model("digits"), "--benchmark", "--runs",
                             "4", "--batch", "2", "-i", path)
        self.assertIn(path, text)


class Profile(RunTest):
    def test_trace_and_table(self):
        trace = self.path("trace.json")
        path = self.write("x.npy", npy([1, 1, 28, 28], ramp(784)))
        modes = (("--benchmark", "--runs", "3"), ("--input", path),
                 ("--dataset", "mnist:" + self.mnist(), "--limit", "5"))
        for mode in modes:
            with self.subTest(mode=mode):
                facts = self.run_json(self.model("digits"), *mode, "--profile",
                                      trace)
                with open(trace, encoding="utf-8") as file:
                    written = json.load(file)
                self.check_provenance(written["otherData"])
                events = written["traceEvents"]
                layers = [e for e in events if e["ph"] == "X"]
                self.assertEqual([e["name"] for e in layers],
                                 [layer["name"] for layer in facts["layers"]])
                self.assertGreater(len(layers), 0)
                for before, after in zip(layers, layers[1:]):
                    self.assertLessEqual(before["ts"] + before["dur"],
                                         after["ts"] + 1e-6)
                self.assertAlmostEqual(
                    sum(layer["share"] for layer in facts["layers"]), 1)
                self.assertEqual(facts["trace"], trace)
                os.remove(trace)
        text = self.run_text(self.model("digits"), *modes[0], "--profile",
                             trace)
        self.assertRegex(text, r"(?m)^layer +op +output +median us +% +MAC/s "
                               r"+backend$")
        self.assertRegex(text, r"(?m)^sum +\d+\.\d +100\.0$")
        self.assertRegex(text, r"(?m)^scores +BinaryGemm ")

    def test_plugin_takes_over(self):
        plugins = [f for f in os.listdir(ARGUMENTS.plugins)
                   if f.endswith("relu_plugin.so")]
        plugin = os.path.join(ARGUMENTS.plugins, plugins[0])
        path = self.write("x.npy", npy([2, 4, 2, 3], ramp(48)))
        output = self.path("y.npy")
        facts = self.run_json(self.model("relu"), "-i", path, "-o", output,
                              "--plugin", plugin, "--backend", "relu-in-c",
                              "--profile", self.path("trace.json"))
        self.assertEqual([layer["backend"] for layer in facts["layers"]],
                         ["relu-in-c"])
        self.assertEqual(read_npy(output)[1], [max(v, 0.0) for v in ramp(48)])
        backends = self.run_json("--list-backends", "--plugin", plugin)
        origins = {b["name"]: b["origin"] for b in backends["backends"]}
        self.assertEqual(origins["relu-in-c"], plugin)
        self.assertEqual(origins["reference"], "built-in")


class Check(RunTest):
    """bq-run --check: layers of one backend against those of another."""

    def plugin(self):
        name = [f for f in os.listdir(ARGUMENTS.plugins)
                if f.endswith("wrong_plugin.so")][0]
        return os.path.join(ARGUMENTS.plugins, name)

    def check(self, model, *arguments, equal):
        arguments = (self.model(model), "--check", "reference", *arguments)
        text = self.run_text(*arguments, status=0 if equal else 1)
        self.assertEqual("no layer differs" in text, equal, text)
        facts = self.run_json(*arguments, status=0 if equal else 1)
        self.assertEqual(facts["equal"], equal, facts)
        self.assertEqual(facts["check"], "reference")
        self.assertEqual(facts["first_difference"] is None, equal)
        return facts["layers"], text

    def wrong(self, model, backend, *arguments, equal=False):
        layers, text = self.check(model, "--plugin", self.plugin(), "--backend",
                                  backend, *arguments, equal=equal)
        layer = [layer for layer in layers if layer["backend"] == backend]
        self.assertEqual(len(layer), 1, layers)
        self.assertEqual(layer[0]["against"], "reference")
        return layer[0], text

    def test_right_backends(self):
        usable = [b["name"] for b in
                  self.run_json("--list-backends")["backends"] if b["usable"]]
        for model in ("digits", "counts", "relu", "color", "sum", "pixels"):
            for backend in usable:
                with self.subTest(model=model, backend=backend):
                    layers, _ = self.check(model, "--backend", backend,
                                           "--threads", "2", equal=True)
                    self.assertGreater(len(layers), 0)
                    self.assertIn(backend, [l["backend"] for l in layers])
                    self.assertEqual({l["different"] for l in layers}, {0})

    def test_kernel_that_writes_nothing(self):
        layer, text = self.wrong("relu", "silent")
        self.assertEqual(layer["name"], "y")
        self.assertEqual(layer["different"], layer["values"])
        self.assertEqual(layer["never_written"], layer["values"])
        self.assertIn("'y' (Relu, silent): 48 of 48 values", text)
        self.assertIn("48 never written", text)
        layer, _ = self.wrong("relu", "half")
        self.assertEqual(layer["never_written"], layer["values"] // 2)

    def test_slightly_wrong_value(self):
        path = self.write("x.npy", npy([2, 4, 2, 3], ramp(48)))
        for arguments in ((), ("--input", path)):
            layer, text = self.wrong("relu", "off", *arguments)
            self.assertEqual(layer["different"], 1)
            self.assertEqual(layer["never_written"], 0)
            self.assertAlmostEqual(layer["largest_difference"], 1 / 1024, 6)
            self.assertAlmostEqual(layer["got"] - layer["wanted"], 1 / 1024, 6)
            self.assertEqual(layer["index"], [1, 0, 1, 3])
            self.assertEqual(layer["allowed"], 0)
            self.assertIn("[1, 0, 1, 3]", text)
        # Not in the first item.
        self.wrong("relu", "off", "--batch", "1", equal=True)

    def test_sums_of_floats(self):
        """What the order of a sum may change is allowed, and no more."""
        self.wrong("color", "backwards", equal=True)
        layer, _ = self.wrong("color", "imprecise")
        self.assertGreater(layer["allowed"], 0)
        self.assertGreater(layer["largest_difference"], layer["allowed"])

    def test_only_the_wrong_layer_differs(self):
        layers, _ = self.check("color", "--plugin", self.plugin(), "--backend",
                               "imprecise", equal=False)
        self.assertEqual([l["op"] for l in layers if l["different"]],
                         ["GlobalAveragePool"])

    def test_padding_bits(self):
        layer, text = self.wrong("sum", "padding")
        self.assertTrue(layer["padding_bits_set"])
        self.assertEqual(layer["different"], 0)
        self.assertIn("behind the last channel", text)

    def test_bad_usage(self):
        relu = self.model("relu")
        self.expect_error(2, "abacus", relu, "--check", "abacus")
        self.expect_error(2, "--check", relu, "--check", "reference",
                          "--benchmark")
        self.expect_error(2, "--check", relu, "--check", "reference",
                          "--profile", self.path("trace.json"))


class Threads(RunTest):
    def test_fewer_than_asked_for(self):
        used = self.run_json(self.model("relu"), "--benchmark", "--runs", "1",
                             "--threads", "0")["threads"]
        for mode in (("--benchmark", "--runs", "1"), ("--check", "reference")):
            result = self.start(self.model("relu"), *mode, "--threads", "1000",
                                "--json")
            self.assertIn(b"bq-run: --threads 1000: ", result.stderr)
            facts = json.loads(result.stdout)
            self.assertEqual(facts["threads"], used)
            self.assertEqual(facts["threads_requested"], 1000)
            result = self.start(self.model("relu"), *mode, "--threads", "1")
            self.assertEqual(result.stderr, b"")


class Backends(RunTest):
    def test_list(self):
        facts = self.run_json("--list-backends")
        self.check_provenance(facts)
        names = [b["name"] for b in facts["backends"]]
        self.assertIn("reference", names)
        chosen = [b for b in facts["backends"] if b["chosen"]]
        self.assertEqual([b["name"] for b in chosen], [facts["chosen"]])
        self.assertEqual(chosen[0]["score"],
                         max(b["score"] for b in facts["backends"]))
        for backend in facts["backends"]:
            self.assertEqual(backend["usable"], backend["score"] > 0)
        text = self.run_text("--list-backends")
        self.assertRegex(text, r"(?m)^\* " + facts["chosen"] + r" .*chosen$")
        for name in names:
            self.assertIn(name, text)

    def test_choice(self):
        """What is listed as chosen is what runs."""
        for arguments, variables in (
                ((), {}), (("--backend", "reference"), {}),
                (("--backend", "cpu"), {"BQENGINE_BACKEND": "reference"}),
                ((), {"BQENGINE_BACKEND": "reference"})):
            with self.subTest(arguments=arguments, variables=variables):
                env = self.environment(**variables)
                listed = self.run_json("--list-backends", *arguments, env=env)
                facts = self.run_json(self.model("digits"), "--benchmark",
                                      "--runs", "1", *arguments, env=env)
                self.assertEqual(facts["backend"], listed["chosen"])


class Names(RunTest):
    """Names hold a control character of 8 bits and turn the text around."""
    BAD = "\u009b31m\u202ex\u2028"
    SHOWN = "?31m?x?"

    def test_of_models_and_layers(self):
        with open(self.model("color"), encoding="utf-8") as file:
            graph = json.load(file)
        graph["name"] = self.BAD
        graph["labels"] = [self.BAD, "green", "blue"]
        graph["inputs"][0]["name"] = "in" + self.BAD
        graph["nodes"][0]["inputs"] = ["in" + self.BAD]
        for node in graph["nodes"]:
            node["name"] = node["name"] + self.BAD
        path = self.write("model.json", json.dumps(graph).encode())
        picture = self.write("red.png", png(4, 4, (255, 0, 0)))
        for arguments in ((), ("--benchmark", "--runs", "2", "--profile",
                               self.path("t")), ("--input", picture)):
            with self.subTest(arguments=arguments):
                text = self.run_text(path, *arguments)
                self.assertIn(self.SHOWN, text)
        facts = self.run_json(path)
        self.assertEqual(facts["name"], self.BAD)
        self.assertEqual(facts["labels"][0], self.BAD)
        array = self.write("x.npy", npy([1, 2], [0, 0]))
        self.expect_error(2, "in" + self.SHOWN, path, "--input", array)

    def test_of_files_and_arguments(self):
        for arguments in ((self.path(self.BAD),),
                          (self.model("digits"), "--input", self.path(self.BAD)),
                          (self.model("digits"), "--dataset", self.BAD),
                          (self.model("digits"), "--benchmark", "--backend",
                           self.BAD), ("--" + self.BAD,)):
            with self.subTest(arguments=arguments):
                self.expect_error(2, self.SHOWN, *arguments)
        picture = self.write(self.BAD, png(28, 28, (0, 0, 0)))
        self.assertIn(self.SHOWN, self.run_text(self.model("digits"), "-i",
                                                picture))
        os.mkdir(self.path("set"))
        os.mkdir(self.path("set/" + self.BAD))
        self.expect_error(2, self.SHOWN, self.model("digits"), "--dataset",
                          "folder:" + self.path("set"))
        self.write(f"set/{self.BAD}/x.png", png(28, 28, (0, 0, 0)))
        self.expect_error(2, f"class '{self.SHOWN}' is not among",
                          self.model("digits"), "--dataset",
                          "folder:" + self.path("set"))


class Terminal(RunTest):
    def test_closed_pipe(self):
        images = os.path.join(self.mnist(), "t10k-images-idx3-ubyte.gz")
        output = self.path("y.npy")
        for arguments in ((self.model("digits"), "-i", images, "--topk", "10",
                           "-o", output), ("--help",), ("--list-backends",)):
            with self.subTest(arguments=arguments):
                reader, writer = os.pipe()
                os.close(reader)
                try:
                    result = self.start(*arguments, stdout=writer)
                finally:
                    os.close(writer)
                self.assertEqual(result.stderr, b"")
        self.assertEqual(read_npy(output)[0], [500, 10])

    def on_terminal(self, columns, *arguments):
        """What appears on a terminal of so many columns."""
        try:
            pid, terminal = pty.fork()
        except OSError as error:  # a chroot without /dev/pts
            self.skipTest(f"no pseudo-terminals here: {error}")
        if pid == 0:
            # The size is set here: the parent might be too late.
            fcntl.ioctl(0, termios.TIOCSWINSZ,
                        struct.pack("HHHH", 24, columns, 0, 0))
            os.execvpe(ARGUMENTS.command[0],
                       ARGUMENTS.command + list(arguments), self.environment())
        output = b""
        while True:
            try:
                data = os.read(terminal, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                break
            if not data:
                break
            output += data
        os.close(terminal)
        status = os.waitpid(pid, 0)[1]
        text = output.decode().replace("\r\n", "\n")
        self.assertEqual(status, 0, text)
        return text

    def test_forty_columns(self):
        digits = self.model("digits")
        for arguments in (("--help",), ("--list-backends",),
                          (digits, "--benchmark", "--runs", "3", "--profile",
                           self.path("t")),
                          (digits, "--dataset", "mnist:" + self.mnist(),
                           "--limit", "9", "--show", "9")):
            with self.subTest(arguments=arguments):
                text = self.on_terminal(40, *arguments)
                self.assertGreater(text.count("\n"), 3)
                for line in text.split("\n"):
                    # Messages, on a busy machine: the terminal breaks them.
                    if line.startswith("bq-run: others use the machine"):
                        continue
                    # A word longer than that cannot be helped.
                    self.assertTrue(len(line) <= 40 or
                                    len(line.split()) == 1, repr(line))
                self.assertNotIn("\x1b", text)

    def test_wide_terminal_shows_the_table(self):
        text = self.on_terminal(120, self.model("digits"), "--benchmark",
                                "--runs", "3", "--profile", self.path("t"))
        self.assertRegex(text, r"(?m)^layer +op +output +median us")


def main():
    global ARGUMENTS
    parser = argparse.ArgumentParser()
    parser.add_argument("--models", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--plugins", required=True)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("command", nargs="+")
    ARGUMENTS = parser.parse_args()
    unittest.main(argv=sys.argv[:1] + ARGUMENTS.only)


if __name__ == "__main__":
    main()
