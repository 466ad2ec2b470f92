"""The image `train`, built and run: make test-image TRAIN_IMAGE=1. TensorFlow takes minutes to install."""

import json
import os
import re
from collections.abc import Iterator

import pytest

from birads_app.model import registry
from tests.support import buildah
from tests.support.buildah import Container

pytestmark = [
    pytest.mark.image,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(
        os.environ.get("TRAIN_IMAGE") != "1",
        reason="installs TensorFlow in an image: make test-image TRAIN_IMAGE=1",
    ),
]

START = ("sh", "/app/docker/entrypoint.sh")


@pytest.fixture(scope="module")
def trainer(storage: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Build the image, and create a container with an empty volume."""
    folder = tmp_path_factory.mktemp("train")
    with buildah.built("train", folder) as image, buildah.container(image, folder / "data") as made:
        yield made


def test_the_image_trains_and_promotes_a_model(trainer: Container) -> None:
    training = ("flask", "train", "--phantoms", "24", "--name", "first", "--head", "logistic-regression")
    for command in ([*START, *training], ["flask", "models", "promote", "first", "--reason", "to try"]):
        done = trainer.run(*command, seconds=1200)
        assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\bfirst\b", trainer.run("flask", "models", "list").stdout)
    assert registry.current_name(trainer.data / "models") == "first"


def test_the_bill_of_materials_lists_tensorflow(trainer: Container) -> None:
    bill = json.loads((trainer.files / "app" / "sbom.json").read_text())
    names = {each["name"] for each in bill["components"]}
    assert {"tensorflow", "keras", "flask", "openvino"} <= names
    assert re.search(r"^Uid:\s+10001\s", trainer.run("cat", "/proc/self/status").stdout, re.MULTILINE)
