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
    """One network, trained with one seed."""
    dataset: str
    architecture: str
    method: str
    method_options: dict
    options: dict
    seed: int
    root: pathlib.Path  # under which the folders of runs are

    @property
    def name(self):
        return (f"{self.dataset}/{self.architecture}/{self.method} "
                f"seed {self.seed}")

    @property
    def architecture_file(self):
        return ARCHITECTURES / f"{self.architecture}.json"

    @property
    def folder(self):
        """Another one for other options, or another architecture: what is in
        it need not be compared with them."""
        settings = json.dumps([self.method_options, self.options])
        tag = hashlib.sha256(settings.encode() +
                             self.architecture_file.read_bytes()).hexdigest()
        return (self.root / self.dataset / self.architecture /
                self.method.replace(" ", "-") / f"seed{self.seed}-{tag[:8]}")

    @property
    def model(self):
        return self.folder / "model.json"

    @property
    def result_file(self):
        return self.folder / "result.json"


def read_json(path):
    with open(path) as file:
        return json.load(file)


def write(path, text):
    """Complete or not at all."""
    unfinished = path.with_name(path.name + ".tmp")
    unfinished.write_text(text)
    unfinished.replace(path)


def say(text):
    print(text, file=sys.stderr, flush=True)


def start(run, bq_train, data):
    """Starts bq-train, after the last epoch of an earlier run if there is one.
    """
    options = {**run.method_options, **run.options}
    command = [bq_train, "--arch", run.architecture_file,
               "--dataset", f"mnist:{data[run.dataset]}",
               *(word for key, value in options.items()
                 for word in (f"--{key}", str(value))),
               "--seed", str(run.seed),
               "-o", run.model, "--json", run.result_file,
               "--plot", run.folder / "curves.svg",
               # One thread each is fastest where there are several runs.
               "--threads", "1", "--loader-threads", "1"]
    if run.model.with_suffix(".ckpt").is_file():
        command.append("--resume")
    run.folder.mkdir(parents=True, exist_ok=True)
    with open(run.folder / "log.txt", "a") as log:
        return subprocess.Popen(command, stdout=log, stderr=log)


def outcome(run):
    if not run.result_file.is_file():
        return f"failed, see {run.folder / 'log.txt'}"
    result = read_json(run.result_file)
    return (f"error {100 * (1 - result['exported_accuracy']):.2f} %, "
            f"{result['seconds'] / 60:.1f} min")


def train(runs, bq_train, data, at_once):
    """Trains what is not trained yet; returns the runs that failed."""
    waiting = [run for run in runs if not run.result_file.is_file()]
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
                if process.returncode != 0:
                    failed.append(run)
                say(f"[{done}/{len(runs)}] {run.name}: "
                    f"{outcome(run)}")
    finally:
        for _, process in running:
            process.terminate()
    return failed
