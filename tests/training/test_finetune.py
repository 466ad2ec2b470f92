"""Fine-tuning of backbone and head from a stage on, and its resumption."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_heads import arguments_for

from birads_app.imaging.decode import decode
from birads_app.model import bundles
from birads_app.model.engine import open_engine, open_graph
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import InputSize, standardise
from birads_app.terms.errors import ModelError
from tests.support import tiny_model
from training.config import Site, TrainConfig
from training.engine import finetune, joining, loop, rebuild
from training.engine.backbone import freeze_backbone, keras_backbone
from training.engine.fit import TrainedNetwork
from training.engine.losses import loss_of
from training.errors import TrainingError
from training.heads import NETWORK_HEADS, head
from training.phantoms.generate import write_set
from training.pipeline import train

SIZE = 64
SQUARE = InputSize.square(SIZE)
CONFIG = TrainConfig("", "", backbone_weights="file", fine_tune="conv5", fine_tune_epochs=3)


def squares() -> tuple[np.ndarray, np.ndarray]:
    """Return 24 dark images with a bright upper or left half, and their labels."""
    rng, labels = np.random.default_rng(0), np.arange(24) % 3
    pictures = rng.integers(0, 90, (24, SIZE, SIZE)).astype(np.uint8)
    pictures[labels == 1, : SIZE // 2] += 120
    pictures[labels == 2, :, : SIZE // 2] += 120
    return pictures.reshape(24, -1), labels


def start(network: str) -> tuple[object, TrainedNetwork, finetune.FineTuningData]:
    """Return a network with random weights and a head fitted for one epoch."""
    import keras

    pictures, labels = squares()
    keras.utils.set_random_seed(0)
    backbone = (
        tiny_model.keras_network(64, SQUARE) if network == "tiny" else keras_backbone(network, None, SQUARE)
    )
    maps = np.asarray(backbone(standardise(pictures.reshape(-1, SIZE, SIZE)), training=False))
    kind = head("dense")
    arguments = replace(
        arguments_for("dense", count=30, epochs=1, batch_size=16, learning_rate=3e-3),
        map_shape=maps.shape[1:],
        features=kind.features(maps),
        labels=labels,
        validation_features=kind.features(maps),
        validation_labels=labels,
    )
    return (
        backbone,
        kind.fit(arguments),
        finetune.FineTuningData(pictures, labels, np.arange(16), np.arange(16, 24)),
    )


@pytest.mark.parametrize(
    ("network", "rate", "epochs"),
    [("tiny", 1e-3, 3), ("resnet50", 1e-4, 2)],
)
@pytest.mark.slow
def test_late_stages_change_and_early_stages_and_normalisation_do_not(
    network: str, rate: float, epochs: int, tmp_path: Path
) -> None:
    backbone, trained, data = start(network)
    before = {variable.path: np.array(variable.numpy()) for variable in backbone.variables}
    fast = replace(CONFIG, fine_tune_rate=rate, fine_tune_epochs=epochs)
    graph, tuned = finetune.finetune(backbone, trained, fast, data, None)
    told = tuned.facts["fine_tuning"]
    assert told["best_epoch"] > 0 and min(told["validation_loss"]) < told["validation_loss"][0]
    changed = {
        path.split("/")[0] for path, old in before.items() if not np.array_equal(old, _now(backbone)[path])
    }
    assert changed and all(layer.startswith("conv5_") and layer.endswith("_conv") for layer in changed)
    assert "fine_tuning" not in trained.facts and "from stage conv5 on" in tuned.about
    assert tuned.curves["head"] == trained.curves["head"]
    before_first, *curve = tuned.curves["fine-tuning"]
    assert np.isnan(before_first.loss) and before_first.as_dict()["accuracy"] is None and len(curve) == epochs
    assert all(epoch.loss > 0 and 0 <= epoch.accuracy <= 1 for epoch in curve)
    assert before_first.validation_accuracy in (n / 8 for n in range(9))

    (tmp_path / "backbone.pb").write_bytes(graph)
    (tmp_path / "head.pb").write_bytes(tuned.freeze(backbone.output.shape[1:]))
    images = standardise(squares()[0].reshape(-1, SIZE, SIZE)[16:])
    served = open_graph(tmp_path / "head.pb", precision="f32")(
        open_graph(tmp_path / "backbone.pb", precision="f32")(images)
    )
    shifted = served - served.max(axis=1, keepdims=True)
    loss = -(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))[
        np.arange(8), data.labels[16:]
    ].mean()
    assert loss == pytest.approx(min(told["validation_loss"]), abs=2e-2)


def _now(backbone: object) -> dict[str, np.ndarray]:
    return {variable.path: np.array(variable.numpy()) for variable in backbone.variables}


@pytest.mark.slow
@pytest.mark.parametrize(("network", "stage"), [("tiny", "conv5"), ("vgg16", "block5")])
def test_fine_tuning_resumes_from_its_checkpoint(network: str, stage: str, tmp_path: Path) -> None:
    two = replace(CONFIG, fine_tune=stage, fine_tune_epochs=2, fine_tune_rate=1e-4)
    one, path = replace(two, fine_tune_epochs=1), tmp_path / "tuning.npz"
    told = []
    for config, checkpoint_path in ((two, None), (one, path), (two, path)):
        backbone, trained, data = start(network)
        _, tuned = finetune.finetune(backbone, trained, config, data, checkpoint_path)
        told.append(tuned.facts["fine_tuning"])
    whole, half, gone_on = told
    assert half["epochs"] == 1 and gone_on["epochs"] == 2
    np.testing.assert_allclose(gone_on["validation_loss"], whole["validation_loss"], atol=1e-4)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"fine_tune": "block5"}, "conv1, conv2, conv3, conv4, conv5 with --backbone resnet50. Got 'block5'"),
        ({"backbone": "vgg16", "fine_tune": "conv5"}, "block5 with --backbone vgg16"),
        ({"head": "knn"}, "Choose one of: dense, cnn-lstm, conv-transformer"),
        ({"folds": 5}, "cannot be combined with --folds"),
        ({"resampling": "smote-all"}, "synthetic samples have no image"),
        ({"resampling": "smote-development"}, "synthetic samples have no image"),
    ],
)
def test_invalid_fine_tuning_is_refused_before_images_are_read(changes, line) -> None:
    config = replace(CONFIG, **changes)
    with pytest.raises(TrainingError, match=line):
        finetune.check(config, head(config.head), NETWORK_HEADS)


def test_weights_that_end_before_the_stage_are_refused() -> None:
    backbone, other = keras_backbone("vgg16", None, SQUARE), keras_backbone("vgg19", None, SQUARE)
    with pytest.raises(TrainingError, match="end before stage conv5"):
        finetune._unfreeze(backbone, other, "conv5")


@pytest.mark.slow
def test_the_demonstration_backbone_is_converted_to_keras(models: Path, tmp_path: Path) -> None:
    shipped = bundles.load(models / "birads-demo")
    graph = joining.without_channels((shipped.path / bundles.BACKBONE).read_bytes())
    run = open_engine(shipped, precision="f32").maps

    def maps(images: np.ndarray) -> np.ndarray:
        return run(images)[..., :-1]  # without the activation of the location head

    model = rebuild.keras_model(graph, shipped.size, maps)
    image = np.random.default_rng(3).normal(0, 60, (1, *shipped.size, 3)).astype(np.float32)
    expected = maps(image)
    np.testing.assert_allclose(np.asarray(model(image)), expected, atol=1e-3 * expected.max())
    (tmp_path / "again.pb").write_bytes(freeze_backbone(model, shipped.size))
    np.testing.assert_allclose(open_graph(tmp_path / "again.pb", precision="f32")(image), expected, atol=1e-3)
    with pytest.raises(ModelError, match="not a plain ResNet50"):  # another network than the one that is run
        rebuild.keras_model(graph, shipped.size, lambda images: maps(images[:, ::-1]))


def test_a_graph_of_another_network_is_refused() -> None:
    graph = freeze_backbone(tiny_model.keras_network(64, SQUARE), SQUARE)
    with pytest.raises(ModelError, match="Give --backbone-weights imagenet"):
        rebuild.keras_model(graph, SQUARE, lambda images: images)


@pytest.mark.slow
def test_flask_train_fine_tunes_the_demonstration_backbone_and_resumes(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_set(tmp_path / "phantoms", 8, seed=5, size=192).parent
    site = Site(models, tmp_path / "cache", target=tmp_path / "models", work=tmp_path / "work")
    config = TrainConfig(
        str(data),
        "whole",
        classes=("1", "3"),
        epochs=2,
        size="128",
        fine_tune="conv4",
        fine_tune_epochs=2,
        sanity_checks=False,
    )
    lines: list[str] = []
    whole = train.train(config, site, lines.append)
    bundle = bundles.load(whole.path)
    assert bundle.manifest["backbone"]["fine_tuned"]["from"] == "conv4"
    assert "fine-tuned from stage conv4 on" in bundle.card and "SMOTE makes rows, not images" in bundle.card
    image = next(data.glob("Birads3/*.png"))
    predictor = Predictor.load(bundle)
    answer, seen = predictor.examine(decode(image.read_bytes(), image.name))
    assert sum(answer.probabilities.values()) == pytest.approx(1) and predictor.heat_maps(seen)[
        "3"
    ].shape == (8, 8)

    cut, real = replace(config, name="cut"), finetune._FineTuningRun._epoch
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(
            finetune._FineTuningRun,
            "_epoch",
            lambda run, number: real(run, 1) if number == 1 else _interrupt(),
        )
        train.train(cut, site, lines.append)
    assert (tmp_path / "work" / "cut" / "fine-tuning.npz").exists() and not (
        tmp_path / "models" / "cut"
    ).exists()
    again = bundles.load(train.train(cut, site, lines.append, resume=True).path)
    assert not (tmp_path / "work" / "cut").exists()
    found = [one.manifest["backbone"]["fine_tuned"] for one in (again, bundle)]
    np.testing.assert_allclose(*(one.pop("validation_loss") for one in found), atol=1e-4)
    figures = [json.loads((one.path / "evaluation.json").read_text())["figures"] for one in (again, bundle)]
    assert found[0] == found[1] and figures[0] == figures[1]


def _interrupt() -> float:
    raise KeyboardInterrupt


def test_a_step_in_parts_equals_a_step_of_the_whole_batch() -> None:
    import keras

    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(size=(7, 3)).astype(np.float32), np.arange(7) % 2
    changed = []
    for part in (7, 3):
        layer = keras.layers.Dense(2, kernel_initializer="ones")
        layer.build((None, 3))
        step = loop.training_step(
            layer,
            layer.trainable_variables,
            keras.optimizers.SGD(5.0),
            loss_of("cross-entropy", each=True),
            part,
        )
        loss, logits = step(inputs, targets)
        again, _ = step(inputs, targets)
        changed.append(
            [float(loss), float(again), *np.asarray(logits).ravel(), *layer.kernel.numpy().ravel()]
        )
    np.testing.assert_allclose(*changed, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_fine_tuning_learns_from_sets_and_samples_by_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, trained, data = start("tiny")
    sets = np.eye(3, dtype=bool)[data.labels]
    sets[4:12, 1:] |= sets[4:12, 1:].any(axis=1, keepdims=True)
    weights = np.where(np.arange(24) < 12, 4.0, 1.0)
    sampled = []
    sample = loop.weighted_sample
    monkeypatch.setattr(loop, "weighted_sample", lambda *given: sampled.append(sample(*given)) or sampled[-1])
    given = replace(data, labels=sets, weights=weights)
    config = replace(CONFIG, fine_tune_epochs=2, fine_tune_rate=1e-3, resampling="none")
    _, tuned = finetune.finetune(backbone, trained, config, given, None)
    _, *curve = tuned.curves["fine-tuning"]
    assert len(curve) == 2 and all(np.isfinite(epoch).all() for epoch in curve)
    assert curve[-1].accuracy > 0.5  # of sets of one or two of three categories
    assert (np.concatenate(sampled) < 12).mean() > 0.85
    assert given.rarity[0] == pytest.approx(1 / (sets[:16] == sets[0]).all(axis=1).sum())
    assert given.single_labels.tolist() == [
        label for number, label in enumerate(data.labels[:16]) if sets[number].sum() == 1
    ]
