"""``flask train``: from a folder of images to a bundle, and errors."""

import json
import re
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskCliRunner

from birads_app.files import atomic
from birads_app.imaging.decode import decode
from birads_app.model import bundles, registry
from birads_app.model.predictor import Predictor
from tests.support import processes
from training import heads
from training.cli.commands import register
from training.data import protocol
from training.data.loader import ImageLoader
from training.data.row_store import RowStore
from training.pipeline.name_lock import hold_name

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture
def folder(app: Flask, folder: Path, cache: Path) -> Path:
    """The folder of models, beside the cache that all tests share."""
    instance = Path(app.extensions["birads_settings"].instance)
    instance.mkdir(parents=True, exist_ok=True)
    (instance / "cache").symlink_to(cache)
    return folder


@pytest.fixture
def train(runner: FlaskCliRunner, folder: Path):
    def run(data: Path, *options: str, head: str = "knn", name: str = "mine", status: int = 0) -> str:
        before = sorted(folder.rglob("*"))
        # tests/training/test_report.py has sanity checks and images
        quick = ("--head", head, "--epochs", "3", "--no-sanity-checks", "--no-report-images")
        arguments = ["train", "--data", str(data), "--name", name, *quick, *options]
        result = runner.invoke(args=arguments)
        assert result.exit_code == status, result.output
        if status:
            assert "Traceback" not in result.output
            assert result.output.strip().splitlines()[-1].startswith("Error: ")
            assert sorted(folder.rglob("*")) == before
            assert registry.current_name(folder) == "birads-demo"
        return result.output

    return run


@pytest.mark.slow
def test_a_first_training_prints_nothing_of_tensorflow(
    phantoms: Path, tiny_models: Path, tmp_path: Path
) -> None:
    shutil.copytree(tiny_models, tmp_path / "models")
    quick = ("--classes", "1,5", "--epochs", "1", "--no-sanity-checks", "--no-report-images")
    trained = processes.flask(
        tmp_path / "instance",
        *("train", "--data", str(phantoms), "--name", "mine", *quick),
        BIRADS_MODELS=str(tmp_path / "models"),
    )
    assert trained.returncode == 0, trained.stderr
    for word in ("absl", "oneDNN", "cuda"):
        assert word not in trained.stderr


def test_a_training_writes_a_bundle_that_is_not_promoted(train, phantoms, folder) -> None:
    output = train(phantoms, head="dense")
    assert "40 usable images" in output
    assert "F1 (macro)" in output and "flask models promote mine --reason TEXT" in output
    assert output.count("WARNING") == 1 and "WARNING: the test set has " in output
    assert registry.current_name(folder) == "birads-demo"
    bundle = bundles.load(folder / "mine")
    assert bundle.classes == ("1", "2", "3", "4", "5") and not bundle.demonstration
    assert (folder / "mine" / "backbone.pb").read_bytes() == (folder / "birads-demo/backbone.pb").read_bytes()
    assert bundle.manifest["training"]["epochs"] == 3
    image = next(phantoms.glob("Birads5/*.png"))
    predictor = Predictor.load(bundle)
    answer, seen = predictor.examine(decode(image.read_bytes(), image.name))
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert predictor.heat_maps(seen)["5"].shape == (7, 7)
    assert not [path.name for path in folder.iterdir() if path.name.startswith(".")]

    evaluation = json.loads((folder / "mine" / "evaluation.json").read_text())
    assert f"{evaluation['figures']['f1']['value']:.3f}" in bundle.card
    known, tried = (
        sum(evaluation["subsets"][part]["images"].values()) for part in ("training", "validation")
    )
    assert (evaluation["ood"]["training_images"], evaluation["ood"]["validation_images"]) == (known, tried)
    assert bundle.ood_detector is not None and len(bundle.ood_detector.training_points) == known
    assert np.sum(evaluation["confusion"]) == evaluation["images"]
    assert "Research use only" in bundle.card and evaluation["warning"] == ""

    output = train(phantoms, "--promote", "--reason", "to try", head="dense", name="again")
    assert "40 from the cache" in output and "again is in service now" in output
    assert registry.current_name(folder) == "again"
    again = json.loads((folder / "again" / "evaluation.json").read_text())
    for key in (
        "confusion",
        "figures",
        "before",
        "after",
        "auc_of",
        "temperature",
        "threshold",
        "learning_curves",
    ):
        assert again[key] == evaluation[key], "the same seed gives the same model, to the last digit"


def test_categories_can_be_chosen_and_smote_switched_off(train, phantoms, folder) -> None:
    train(phantoms, "--classes", "1,5", "--resampling", "none")
    assert bundles.load(folder / "mine").classes == ("1", "5")


def test_a_leaking_protocol_warns_and_is_promoted_only_on_request(train, phantoms, folder, runner) -> None:
    options = ("--classes", "1,5", "--resampling", "smote-all", "--split", "image")
    output = train(phantoms, *options)
    assert "THIS PROTOCOL LEAKS" in output and "flask models promote" not in output
    bundle = bundles.load(folder / "mine")
    evaluation = json.loads((folder / "mine" / "evaluation.json").read_text())
    assert bundle.manifest["leaks"] is True and evaluation["leaks"] is True
    assert evaluation["protocol"] == "smote-all, split by image, holdout 80:20"
    assert "THIS PROTOCOL LEAKS" in bundle.card and "not to be promoted" in bundle.card
    assert ", LEAKS " in runner.invoke(args=["models", "list"]).output

    refused = runner.invoke(args=["models", "promote", "mine"])
    assert refused.exit_code == 1 and "data leakage" in refused.output and "Traceback" not in refused.output
    assert registry.current_name(folder) == "birads-demo" and not (folder / "OVERRIDES").exists()
    options = ("--override-protocol",)
    refused = runner.invoke(args=["models", "promote", "mine", *options])
    assert refused.exit_code == 1 and "--reason TEXT" in refused.output
    options = ("--override-protocol", "--reason", "to compare")
    assert runner.invoke(args=["models", "promote", "mine", *options]).exit_code == 0
    assert registry.current_name(folder) == "mine"
    assert json.loads((folder / "OVERRIDES").read_text())["name"] == "mine"
    assert "**Promoted on " in runner.invoke(args=["models", "show", "mine"]).output

    result = runner.invoke(
        args=["train", "--data", str(phantoms), "--name", "x", "--promote", "--split", "image"]
    )
    assert result.exit_code == 2 and "--promote needs" in result.output


def test_cross_validation_tests_every_image(train, phantoms, folder) -> None:
    output = train(phantoms, "--classes", "1,5", "--folds", "3")
    evaluation = json.loads((folder / "mine" / "evaluation.json").read_text())
    assert evaluation["images"] == len([*phantoms.glob("Birads[15]/*.png")]) and evaluation["leaks"] is False
    assert (
        "cross-validation 3" in output
        and "3-fold cross-validation by patient" in bundles.load(folder / "mine").card
    )


def test_unusable_files_are_listed_and_excluded(train, copies, folder) -> None:
    (copies / "Birads1" / "PH9999_L_CC.png").write_bytes(b"")
    (copies / "Birads2" / "PH9998_L_CC.dcm").write_text("not a picture")
    photograph = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    cv2.imwrite(str(copies / "Birads3" / "PH9997_L_CC.png"), photograph)
    picture = next((copies / "Birads1").glob("PH0*"))
    shutil.copy(picture, copies / "Birads5" / "PH9996_L_CC.png")
    other = next((copies / "Birads2").glob("PH0*"))
    shutil.copy(other, copies / "Birads2" / "PH9995_L_CC.png")
    output = train(copies)
    assert "39 usable images" in output and "6 files excluded" in output
    assert output.count("The same image is in the folders of categories 1 and 5") == 2
    assert "PH9995_L_CC.png: A duplicate of " in output
    for name in ("PH9999_L_CC.png", "PH9998_L_CC.dcm", "PH9997_L_CC.png"):
        assert f"{name}: " in output
    listed = json.loads((folder / "mine" / "evaluation.json").read_text())["excluded"]
    assert len(listed) == 6


def test_unknown_patients_cause_a_warning(train, copies, folder) -> None:
    (copies / "truth.csv").unlink()
    for number, path in enumerate(sorted(copies.glob("*/*.png"))):
        path.rename(path.with_name(f"image{number}.png"))
    output = train(copies)
    assert "WARNING: the patients of 40 of 40 images are unknown" in output
    bundle = bundles.load(folder / "mine")
    assert "WARNING: the patients of 40 of 40" in bundle.card
    assert bundle.manifest["training"]["patients_known"] is False
    assert "40 of 40" in json.loads((folder / "mine" / "evaluation.json").read_text())["warning"]


def test_unreadable_files_alone_are_an_error(train, tmp_path) -> None:
    for category in ("1", "2"):
        (tmp_path / "bad" / category).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "bad" / category / f"{number}.png").write_text(f"{category}{number}")
    assert "None of the 6 files can be used" in train(tmp_path / "bad", status=1)


def test_one_category_is_an_error(train, copies) -> None:
    for other in "2345":
        shutil.rmtree(copies / f"Birads{other}")
    assert "only images of category 1" in train(copies, status=1)


def test_a_category_with_one_image_is_an_error_with_a_remedy(train, copies) -> None:
    for path in sorted((copies / "Birads3").iterdir())[1:]:
        path.unlink()
    assert "--classes 1,2,4,5" in train(copies, status=1)


def test_a_folder_other_than_a_category_is_named(train, copies) -> None:
    (copies / "normal").mkdir()
    assert "'normal'" in train(copies, status=1)


@pytest.mark.parametrize("name", ["a/b", "../mine", "..", ".mine", "", "a b"])
def test_an_invalid_model_name_is_refused(train, phantoms, name) -> None:
    assert "is not a valid model name" in train(phantoms, name=name, status=1)


def test_a_name_in_use_is_refused(train, phantoms) -> None:
    assert "model named birads-demo already exists" in train(phantoms, name="birads-demo", status=1)


def test_a_second_training_with_the_same_name_is_refused(train, phantoms, folder) -> None:
    with hold_name(folder, "mine"):
        assert "Another training of a model named mine" in train(phantoms, status=1)
    with hold_name(folder, "mine"):
        pass


def cached(output: str) -> int:
    """Number of images that a training found in the cache."""
    return int(re.search(r"\((\d+) from the cache\)", output)[1])


def test_a_full_disk_is_a_one_line_error_and_the_next_run_continues(train, copies, cache) -> None:
    """The second batch of sixteen rows of 8 kB exceeds the limit of the file size."""
    train(copies, name="first")  # keeps the prepared images
    shutil.rmtree(cache / "features", ignore_errors=True)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, limits[1]))
    try:
        output = train(copies, status=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "File too large (" in output and ".f16). No model was written." in output
    assert cached(train(copies)) == 16


@pytest.fixture
def small_disk(cache, tmp_path):
    """Mount a disk of 300 kB as the cache; yield it with a function that enlarges it."""

    def mount(*options: str) -> bool:
        command = ["mount", "-t", "tmpfs", *options, "tmpfs", str(disk)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    disk = tmp_path / "disk"
    disk.mkdir()
    if not shutil.which("mount") or not mount("-o", "size=300k"):
        pytest.skip("mounting a small disk takes root")
    link = tmp_path / "instance" / "cache"
    link.unlink()
    link.symlink_to(disk)
    try:
        yield lambda: mount("-o", "remount,size=64m")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_write_without_space_is_a_one_line_error_and_the_next_run_continues(
    train, copies, small_disk
) -> None:
    output = train(copies, status=1)
    assert "No space left on device (" in output and "No model was written." in output
    assert small_disk()
    assert "40 usable images" in train(copies)


def test_an_interrupted_extraction_keeps_the_features_so_far(train, phantoms, cache, monkeypatch) -> None:
    """A real signal, once the second batch of sixteen rows is written, each to two stores."""
    shutil.rmtree(cache / "features", ignore_errors=True)
    add, calls = RowStore.add, iter(range(1, 6))

    def add_and_interrupt(store: RowStore, *arguments: object) -> None:
        add(store, *arguments)
        if store.folder.parent.name == "features" and next(calls) == 4:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(RowStore, "add", add_and_interrupt)
    # A shell that starts the tests in the background has the signal ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        assert "Interrupted" in train(phantoms, status=1)
    finally:
        signal.signal(signal.SIGINT, before)
    monkeypatch.undo()
    assert cached(train(phantoms)) == 32


@pytest.mark.parametrize(
    ("owner", "step"),
    [(ImageLoader, "load"), (protocol, "apply"), (heads.DenseHead, "fit"), (atomic.os, "fsync")],
)
def test_an_interrupt_leaves_no_files(train, phantoms, monkeypatch, owner, step) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(owner, step, interrupt)
    assert "Interrupted" in train(phantoms, head="dense", status=1)


@pytest.mark.parametrize(
    ("head", "options", "fact"),
    [
        ("knn", (), "neighbours"),
        ("dense", ("--loss", "ordinal"), "best_epoch"),
        pytest.param("cnn-lstm", ("--loss", "ordinal"), "best_epoch", marks=pytest.mark.slow),
    ],
    ids=["knn", "dense", "cnn-lstm"],
)
def test_other_heads_are_trained_and_predict(train, phantoms, folder, head, options, fact) -> None:
    output = train(phantoms, *options, "--promote", "--reason", "to try", head=head)
    assert "mine is in service now" in output
    bundle = bundles.load(folder / "mine")
    assert bundle.head == head and fact in bundle.manifest["head"]
    assert f"Head: `{head}`" in bundle.card and "Details of the head: " in bundle.card
    image = next(phantoms.glob("Birads5/*.png"))
    predictor = Predictor.load(bundle)
    answer, seen = predictor.examine(decode(image.read_bytes(), image.name))
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert predictor.heat_maps(seen)["5"].shape == (7, 7)


def test_an_unsupported_loss_is_refused_before_images_are_read(train, phantoms) -> None:
    assert "knn does not support --loss ordinal" in train(phantoms, "--loss", "ordinal", status=1)


def test_the_error_for_an_unknown_head_lists_the_heads(train, phantoms) -> None:
    assert "--head has to be one of" in train(phantoms, head="forest", status=1)


def test_the_error_for_a_missing_demonstration_backbone_lists_alternatives(app, runner, phantoms) -> None:
    register(app)
    result = runner.invoke(args=["train", "--data", str(phantoms), "--name", "mine"])
    assert result.exit_code == 1 and "train with --backbone-weights imagenet" in result.output


@pytest.mark.parametrize("content", [None, b"not an h5 file"])
def test_a_wrong_weights_file_is_a_one_line_error(train, phantoms, tmp_path, content) -> None:
    path = tmp_path / "weights.h5"
    if content is not None:
        path.write_bytes(content)
    assert "weights" in train(phantoms, "--backbone-weights", str(path), status=1)


@pytest.mark.slow
def test_keras_weights_give_another_backbone(train, phantoms, folder, tmp_path) -> None:
    """ResNet50 with weights of a file; VGG, whose maps have other channels, is in test_backbone.py."""
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(None, None, 3))
    model.save_weights(tmp_path / "random.weights.h5")
    train(phantoms, "--classes", "1,5", "--backbone-weights", str(tmp_path / "random.weights.h5"))
    bundle = bundles.load(folder / "mine")
    assert bundle.manifest["backbone"]["weights"] == "weights file random.weights.h5"
    assert (folder / "mine" / "backbone.pb").read_bytes() != (folder / "birads-demo/backbone.pb").read_bytes()
