"""Runs of bq-train, several at a time, each once."""

import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys
import time

ARCHITECTURES = (pathlib.Path(__file__).resolve().parents[2] /
                 "tools/train/architectures")


@dataclasses.dataclass(frozen=True)
class Run:
    """One network, trained with one seed, and the folder of its files."""
    dataset: str
    architecture: str
    method: str
    method_options: dict
    options: dict
    seed: int
    folder: pathlib.Path

    @property
    def name(self):
        return (f"{self.dataset}/{self.architecture}/{self.method} "
                f"seed {self.seed}")

    @property
    def model(self):
        return self.folder / "model.json"

    def arguments(self, data):
        options = {**self.method_options, **self.options}
        return (["--arch", str(ARCHITECTURES / f"{self.architecture}.json"),
                 "--dataset", f"mnist:{data[self.dataset]}"] +
                [word for key, value in options.items()
                 for word in (f"--{key}", str(value))] +
                ["--seed", str(self.seed)])

    def settings(self, data):
        """What decides the result; bq-train itself is not looked at."""
        arguments = self.arguments(data)
        architecture = pathlib.Path(arguments[1]).read_bytes()
        return {"arguments": arguments,
                "architecture": hashlib.sha256(architecture).hexdigest()}

    def started_as(self, data):
        """Whether the folder's files come from these settings."""
        try:
            return read_json(self.folder / "settings.json") == json.loads(
                json.dumps(self.settings(data)))
        except (OSError, ValueError):
            return False

    def is_done(self, data):
        return self.started_as(data) and (self.folder / "result.json").is_file()

    def result(self):
        return read_json(self.folder / "result.json")


def read_json(path):
    with open(path) as file:
        return json.load(file)


def say(text):
    print(text, file=sys.stderr, flush=True)


def start(run, bq_train, data):
    """Starts bq-train, behind the last epoch of an earlier run if there is one.
    """
    command = [bq_train, *run.arguments(data), "-o", run.model,
               "--plot", run.folder / "curves.svg",
               "--json", run.folder / "result.json",
               # One thread each is fastest where there are several runs.
               "--threads", "1", "--loader-threads", "1"]
    checkpoint = run.model.with_suffix(".ckpt")
    if run.started_as(data):
        if checkpoint.is_file():
            command.append("--resume")
    else:
        run.folder.mkdir(parents=True, exist_ok=True)
        for file in run.folder.iterdir():
            file.unlink()
        (run.folder / "settings.json").write_text(
            json.dumps(run.settings(data), indent=2) + "\n")
    with open(run.folder / "log.txt", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def train(runs, bq_train, data, at_once):
    """Trains what is not trained yet; returns the runs that failed."""
    waiting = [run for run in runs if not run.is_done(data)]
    done = len(runs) - len(waiting)
    say(f"{done} of {len(runs)} networks are there already")
    running, failed = [], []
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                run = waiting.pop(0)
                running.append((run, start(run, bq_train, data)))
            time.sleep(0.1)
            for run, process in list(running):
                if process.poll() is None:
                    continue
                running.remove((run, process))
                done += 1
                if process.returncode == 0:
                    result = run.result()
                    outcome = (f"error {100 * (1 - result['exported_accuracy']):.2f}"
                               f" %, {result['seconds'] / 60:.1f} min")
                else:
                    failed.append(run)
                    outcome = f"failed, see {run.folder / 'log.txt'}"
                say(f"[{done}/{len(runs)}] {run.name}: {outcome}")
    finally:
        for _, process in running:
            process.terminate()
    return failed
