"""``flask train --resume`` after kills at any moment gives the same model."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from birads_app.imaging.decode import decode
from birads_app.model import bundles, registry
from birads_app.model.calibration import softmax
from birads_app.model.engine import open_engine, open_graph
from birads_app.model.preprocess import prepare
from tests.support.command_server import CommandServer
from tests.support.processes import ROOT, environment

KILLS = 10
IMPORTS = 4.0  # seconds; within them a process that was not forked has not begun to train


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, tiny_models: Path) -> Path:
    """A folder with an instance and a tiny model, which serves."""
    place = tmp_path_factory.mktemp("kill")
    shutil.copytree(tiny_models / "birads-demo", place / "models" / "birads-demo", copy_function=os.link)
    registry.promote(place / "models", "birads-demo")
    return place


@pytest.fixture(scope="module")
def commands(place: Path) -> Iterator[CommandServer]:
    commands = CommandServer(place / "instance", place / "models")
    yield commands
    commands.close()


def command(phantoms: Path, name: str) -> list[str]:
    options = ["--classes", "1,3,5", "--epochs", "20", "--replicates", "100"]
    quick = ["--no-sanity-checks", "--no-report-images"]
    return ["train", "--data", str(phantoms), "--name", name, *options, *quick]


def killed_while_importing(place: Path, arguments: list[str], seconds: float) -> bool:
    """Run a process and kill it; return True if it was still running."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flask", *arguments],
        cwd=ROOT,
        env=environment(place / "instance", BIRADS_MODELS=str(place / "models")),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    return process.wait() == -signal.SIGKILL


def killed(commands: CommandServer, arguments: list[str], seconds: float, after: Path | None = None) -> bool:
    """Kill a forked process after a time or once a file exists; return True if it was still running."""
    child = commands.start(*arguments)
    while after and not after.exists() and not commands.ended(0.01):
        pass
    if not commands.ended(seconds):
        os.kill(child, signal.SIGKILL)
    return commands.status() == -signal.SIGKILL


def run(commands: CommandServer, *arguments: str) -> int:
    commands.start(*arguments)
    return commands.status()


def forget_features(place: Path) -> None:
    shutil.rmtree(place / "instance" / "cache", ignore_errors=True)


@pytest.fixture(scope="module")
def maps(place: Path, phantoms: Path) -> np.ndarray:
    """Feature maps of one image of each category, from the backbone that all these models share."""
    shipped = bundles.load(place / "models" / "birads-demo")
    images = [next(phantoms.glob(f"Birads{code}/*.png")) for code in "135"]
    prepared = [prepare(decode(image.read_bytes(), image.name), shipped.size) for image in images]
    return open_engine(shipped).maps(np.stack([one.tensor for one in prepared]))


def probabilities(place: Path, name: str, maps: np.ndarray) -> np.ndarray:
    bundle, models = bundles.load(place / "models" / name), place / "models"
    files = bundle.manifest["files"]
    assert files["backbone.pb"] == bundles.load(models / "birads-demo").manifest["files"]["backbone.pb"]
    return softmax(open_graph(bundle.path / "head.pb", precision="f32")(maps), bundle.temperature)


@pytest.mark.slow
def test_a_training_killed_ten_times_gives_the_same_model(
    commands: CommandServer, place: Path, phantoms: Path, maps: np.ndarray
) -> None:
    assert run(commands, *command(phantoms, "first")) == 0, commands.output
    forget_features(place)
    began = time.monotonic()
    assert run(commands, *command(phantoms, "whole")) == 0, commands.output
    lasts = time.monotonic() - began
    expected = probabilities(place, "whole", maps)
    assert np.ptp(expected, axis=0).max() > 0.05  # they are no constants

    random = np.random.default_rng(20)
    kills = midway = 0
    for number in range(KILLS):
        name, work = f"killed-{number}", place / "instance" / "training" / f"killed-{number}"
        forget_features(place)
        if number == 0:
            kills += killed_while_importing(place, command(phantoms, name), IMPORTS * random.random())
        elif number % 2:  # at any moment
            kills += killed(commands, command(phantoms, name), lasts * (number + random.random()) / KILLS)
        else:  # while it learns, or writes the model
            first = work / "fold-0.npz"
            kills += killed(commands, command(phantoms, name), lasts / 3 * random.random(), after=first)
        assert registry.current_name(place / "models") == "birads-demo"
        midway += any(work.glob("*.npz"))
        status = run(commands, "train", "--resume", "--name", name)
        if status and "There is no interrupted training" in commands.output:
            # Killed before anything was kept; or the kill came too late.
            assert (place / "models" / name).exists() or run(commands, *command(phantoms, name)) == 0
        else:
            assert status == 0, commands.output
        np.testing.assert_allclose(probabilities(place, name, maps), expected, atol=1e-4)
    assert kills >= KILLS - 3 and midway >= 3, (kills, midway)
    assert not [path.name for path in (place / "models").iterdir() if path.name.startswith(".")]
    assert not list((place / "instance" / "training").iterdir())
