"""Backbones ResNet50, VGG16 and VGG19: frozen features, and refusal of other weights."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskCliRunner

from birads_app.imaging.decode import decode
from birads_app.model import bundles
from birads_app.model.engine import open_graph
from birads_app.model.predictor import Predictor
from birads_app.model.preprocess import InputSize
from birads_app.terms.errors import ModelError
from tests.support import tiny_model
from training.engine.backbone import BACKBONES, freeze_backbone, keras_backbone, parse_size
from training.engine.freeze import resized, serialised
from training.engine.keras_import import import_keras

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives a file of random weights of a network."""
    import keras

    folder = tmp_path_factory.mktemp("weights")

    def file(network: str) -> Path:
        path = folder / f"{network}.weights.h5"
        if not path.exists():
            keras.utils.set_random_seed(1)
            keras_backbone(network, None).save_weights(path)
        return path

    return file


@pytest.fixture
def flask(runner: FlaskCliRunner, folder: Path):
    def run(*arguments: str, status: int = 0) -> str:
        result = runner.invoke(args=arguments)
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


@pytest.mark.parametrize("network", ["vgg16", pytest.param("vgg19", marks=pytest.mark.slow)])
@pytest.mark.parametrize("engine", ["openvino", pytest.param("tensorflow", marks=pytest.mark.slow)])
def test_a_frozen_network_gives_the_values_of_keras(
    network: str, engine: str, weights: Callable[[str], Path], tmp_path
) -> None:
    model = keras_backbone(network, weights(network), InputSize.square(64))
    path = tmp_path / "backbone.pb"
    path.write_bytes(freeze_backbone(model, InputSize.square(64)))
    image = np.random.default_rng(0).normal(0, 60, (2, 64, 64, 3)).astype(np.float32)
    expected = np.asarray(model(image, training=False))
    found = open_graph(path, engine, "f32")(image)
    assert found.shape == (2, 2, 2, 512) and expected.max() > 0
    np.testing.assert_allclose(found, expected, atol=1e-2 * expected.max())


def test_a_frozen_network_takes_another_size_with_the_same_weights(tmp_path: Path) -> None:
    graph = freeze_backbone(tiny_model.keras_network(64, InputSize(64, 64)), InputSize(64, 64))
    path, size = tmp_path / "backbone.pb", InputSize(128, 96)
    path.write_bytes(resized(graph, size))
    image = np.random.default_rng(0).normal(0, 60, (2, *size, 3)).astype(np.float32)
    expected = np.asarray(tiny_model.keras_network(64, size)(image, training=False))
    for engine in ("openvino", "tensorflow"):
        found = open_graph(path, engine, "f32")(image)
        assert found.shape == (2, 4, 3, 64)
        np.testing.assert_allclose(found, expected, atol=1e-2 * expected.max())


def test_a_frozen_network_has_the_same_bytes_in_every_process() -> None:
    import tensorflow as tf

    graph = freeze_backbone(tiny_model.keras_network(64, InputSize(64, 64)), InputSize(64, 64))
    for one in (graph, resized(graph, (64, 64))):
        assert serialised(tf.compat.v1.GraphDef.FromString(one)) == one


def test_a_size_is_a_side_or_height_and_width() -> None:
    assert parse_size("448") == (448, 448) and parse_size("896x448") == (896, 448)


@pytest.mark.parametrize(
    "text", ["", "450", "32", "4096", "448x", "x448", "448x450", "448 x 448", "-224", "٤٤٨"]
)
def test_another_size_is_refused(text: str) -> None:
    with pytest.raises(ModelError, match="multiples of 32 from 64 to 2048"):
        parse_size(text)


@pytest.mark.slow
def test_vgg_is_trained_and_predicts_with_heat_maps(
    flask, folder: Path, phantoms: Path, weights: Callable[[str], Path]
) -> None:
    options = ("--classes", "1,3", "--epochs", "3", "--no-sanity-checks", "--head", "conv-transformer")
    file = str(weights("vgg16"))
    output = flask(
        "train", "--data", str(phantoms), "--name", "mine", "--backbone", "vgg16", "--backbone-weights", file,
        *options, "--promote", "--reason", "to try",
    )  # fmt: skip
    assert "mine is in service now" in output
    bundle = bundles.load(folder / "mine")
    assert bundle.manifest["backbone"] == {"network": "VGG16", "weights": "weights file vgg16.weights.h5"}
    assert bundle.manifest["training"]["backbone"] == "vgg16"
    assert "VGG16" in bundle.card
    image = next(phantoms.glob("Birads3/*.png"))
    predictor = Predictor.load(bundle)
    answer, seen = predictor.examine(decode(image.read_bytes(), image.name))
    heat = predictor.heat_maps(seen)["3"]
    assert sum(answer.probabilities.values()) == pytest.approx(1)
    assert heat.shape == (7, 7) and np.isfinite(heat).all()


def test_vgg_has_no_demonstration_weights(flask, phantoms: Path) -> None:
    output = flask("train", "--data", str(phantoms), "--name", "mine", "--backbone", "vgg19", status=1)
    assert (
        "The demonstration model has no vgg19 weights" in output and "--backbone-weights imagenet" in output
    )


def test_the_error_for_an_unknown_network_lists_the_networks() -> None:
    with pytest.raises(ModelError, match=f"{', '.join(BACKBONES)}.*'vgg17'"):
        keras_backbone("vgg17", None)


@pytest.mark.parametrize(
    ("network", "file"),
    [pytest.param("vgg16", "vgg19", marks=pytest.mark.slow), ("vgg19", "vgg16"), ("resnet50", "vgg16")],
)
def test_weights_of_another_network_are_refused(
    network: str, file: str, weights: Callable[[str], Path]
) -> None:
    with pytest.raises(
        ModelError, match=f"does not contain the weights of Keras' {BACKBONES[network].title}"
    ):
        keras_backbone(network, weights(file))


def test_a_gpu_gives_its_memory_as_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    found: list[object] = []

    def set_memory_growth(device: object, growth: bool) -> None:
        found.append(device)
        if device == "busy":
            raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["busy", kind])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", set_memory_growth)
    import_keras()
    assert found == ["busy", "GPU"]
