"""``--pooling located``: a location head is fitted to outlines, kept in the backbone, and makes marks."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from birads_app.imaging.decode import decode
from birads_app.model import bundles, registry
from birads_app.model.marks import Mark
from birads_app.model.predictor import Predictor
from birads_app.terms.errors import BundleError
from tests.support import tiny_model
from training.cli.commands import phantoms
from training.config import DEMO_MODEL, Site, TrainConfig
from training.engine import checkpoint, location
from training.engine.joining import with_channels, without_channels
from training.engine.location import OutlinedMaps
from training.errors import TrainingError
from training.pipeline import ensemble, locate, train
from training.pipeline.external_evaluation import evaluate_bundle

CHANNELS = 64
CONFIG = TrainConfig(
    "", "located", head="logistic-regression", pooling="located", folds=2, sanity_checks=False, replicates=100,
    report_images=False,
)  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [({"fine_tune": "conv5"}, "combined with --fine-tune"), ({"resampling": "smote-all"}, "smote-all")],
)
def test_what_would_use_other_maps_or_rows_is_refused(change: dict[str, str], message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        locate.check(TrainConfig("", "", pooling="located", **change))
    locate.check(TrainConfig("", "", **change))


@pytest.mark.slow
def test_channels_are_appended_to_a_backbone_and_taken_away() -> None:
    import tensorflow as tf

    size = tiny_model.SIZE
    plain = tiny_model.freeze_backbone(tiny_model.keras_network(CHANNELS), size)
    more = with_channels(plain, size, lambda maps: tf.reduce_sum(maps, axis=-1, keepdims=True))
    again = without_channels(more)
    nodes = [
        {(node.name, node.op, *node.input) for node in tf.compat.v1.GraphDef.FromString(graph).node}
        for graph in (plain, again)
    ]
    assert nodes[0] == nodes[1] and len(more) > len(plain)


@pytest.mark.slow
def test_a_model_learns_from_outlines_where_findings_are(tmp_path: Path) -> None:
    models = tmp_path / "models"
    tiny_model.write(models, channels=CHANNELS)
    table = tmp_path / "phantoms" / "truth.csv"
    options = ("--patients", "20", "--seed", "3", "--size", "256", "--outlines")
    drawn = CliRunner().invoke(phantoms, [str(table.parent), *options])
    assert drawn.exit_code == 0, drawn.output
    site = Site(models, tmp_path / "cache", work=tmp_path / "work")
    written = train.train(_config(table), site, print).path
    bundle = bundles.load(written)
    assert bundle.location is not None and bundle.location.channel == CHANNELS
    record = json.loads((written / bundles.EVALUATION).read_text())
    found = record["free_response"]
    assert found["images"] == 80 and found["peak"]["value"] > 0.5
    assert found["sensitivity"]["2"]["value"] >= found["sensitivity"]["0.5"]["value"] > 0.3
    assert [*record["learning_curves"]] == ["location head"] and "A location head" in bundle.card
    assert "false marks an image" in bundle.card and "Free-response" in (written / bundles.REPORT).read_text()

    _check_marks(bundle, table.parent)
    _check_missing_channel(bundle, tmp_path / "broken")
    (tmp_path / "joint").mkdir()
    first = bundles.load(models / DEMO_MODEL)
    joint = bundles.load(ensemble.write(tmp_path / "joint", "joint", [first, bundle]))
    assert joint.location is not None and joint.location.channel == 2 * CHANNELS
    again = evaluate_bundle(bundle, table, site, print, replicates=100)
    assert again["free_response"]["images"] == 80 and again["free_response"]["peak"]["value"] > 0.5
    _check_reuse(bundle, table, tmp_path)


def _config(data: Path, **changes: object) -> TrainConfig:
    return TrainConfig(**{**vars(CONFIG), "data": str(data), **changes})


def _check_marks(bundle: bundles.Bundle, folder: Path) -> None:
    """Check that both engines make the same marks, mirrored with the image, and that most touch a finding."""
    predictors = [Predictor.load(bundle, engine, "f32") for engine in ("openvino", "tensorflow")]
    on_findings = []
    for path in sorted(folder.glob("Birads[25]/*.png")):
        mammogram = decode(path.read_bytes(), path.name)
        first, second = (one.predict(mammogram) for one in predictors)
        assert [vars(mark) for mark in first.marks] == [
            pytest.approx(vars(mark), rel=1e-3) for mark in second.marks
        ]
        mask = decode((folder / "outlines" / path.name).read_bytes()).pixels
        on_findings += [_part(mask, mark).any() for mark in first.marks[:1]]
    assert len(on_findings) > 10 and np.mean(on_findings) > 0.6
    mirrored = replace(mammogram, pixels=np.ascontiguousarray(mammogram.pixels[:, ::-1]))
    assert [(1 - mark.x, mark.y) for mark in predictors[0].predict(mirrored).marks] == [
        pytest.approx((mark.x, mark.y), abs=0.02) for mark in first.marks
    ]
    answer, seen = predictors[0].examine(decode(path.read_bytes(), path.name))
    assert predictors[0].heat_maps(seen)[answer.category].shape == (7, 7)


def _check_missing_channel(bundle: bundles.Bundle, models: Path) -> None:
    """Check that a location head that the backbone lacks is noticed before a promotion."""
    shutil.copytree(bundle.path, models / "broken")
    manifest = json.loads((bundle.path / bundles.MANIFEST).read_text())
    manifest["backbone"]["location"]["channel"] += 1
    (models / "broken" / bundles.MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="do not match"):
        registry.verify(models, "broken", "openvino", "f32")


def _part(mask: np.ndarray, mark: Mark) -> np.ndarray:
    """Return the part of a mask that a mark covers."""
    height, width = mask.shape
    rows = slice(int((mark.y - mark.height / 2) * height), int((mark.y + mark.height / 2) * height))
    return mask[rows, int((mark.x - mark.width / 2) * width) : int((mark.x + mark.width / 2) * width)]


def _check_reuse(bundle: bundles.Bundle, outlined: Path, tmp_path: Path) -> None:
    """Check that a backbone's location head is used as it is for data without outlines, and its images are known."""
    models = tmp_path / "reused"
    shutil.copytree(bundle.path, models / DEMO_MODEL)
    site = Site(models, tmp_path / "cache")
    lines: list[str] = []
    table = outlined.with_name("labels.csv")
    table.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in outlined.read_text().splitlines()))
    config = _config(table, name="reused", folds=0, head="dense", epochs=1, classes=("1", "5"))
    made = bundles.load(train.train(config, site, lines.append).path)
    assert made.location == bundle.location and made.manifest["backbone"]["taken_from"] == DEMO_MODEL
    record = json.loads((made.path / bundles.EVALUATION).read_text())
    assert record["contamination"]["state"] == "contaminated" and record["free_response"] is None
    plain = tmp_path / "plain"
    tiny_model.write(plain, channels=CHANNELS)
    with pytest.raises(TrainingError, match="needs outlines of findings"):
        train.train(config, Site(plain, tmp_path / "cache"), print)


@pytest.mark.slow
def test_an_interrupted_fit_of_a_location_head_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, shape = np.random.default_rng(0), (5, 4, 6)
    maps = np.abs(random.normal(0, 0.3, (40, *shape)))
    cells = random.random((40, 20)) < 0.1
    maps[..., 2] += 2 * cells.reshape(40, 5, 4)
    rows = maps.reshape(40, -1).astype(np.float16)
    training, validation = (OutlinedMaps(rows[part], cells[part]) for part in (slice(30), slice(30, 40)))
    whole = location.fit(training, validation, shape, 3, None)
    assert whole.curve[-1].validation_accuracy == 1 and len(whole.curve) == location.PASSES
    assert whole.activation(np.float32(maps)).shape == (40, 5, 4, 1)

    save, epochs = checkpoint.save, []

    def killed(path: Path, model: object, optimizer: object, curve: list[object], kept: list[object]) -> None:
        save(path, model, optimizer, curve, kept)
        epochs.append(len(curve))
        if len(curve) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoint, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        location.fit(training, validation, shape, 3, tmp_path / "location.npz")
    again = location.fit(training, validation, shape, 3, tmp_path / "location.npz")
    assert epochs == [1, 2, 3, 4, 5] and again.curve == whole.curve
    assert all(map(np.array_equal, again.kernels + again.biases, whole.kernels + whole.biases))
