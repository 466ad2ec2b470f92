"""Backbones that turn images into feature maps: that of the demonstration model, or one of Keras."""

import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from birads_app.model import bundles, training_digests
from birads_app.model.engine import Run, open_engine, open_graph
from birads_app.model.preprocess import DEFAULT_SIZE, InputSize
from birads_app.model.training_digests import TrainingDigests
from birads_app.terms.errors import ModelError
from training.config import Site
from training.engine import joining
from training.engine.location import LocationHead

# Weights files by their SHA-256.
_IMAGENET_FILES = {
    "91b01414a6c056eee72c3da3a01676fcaaad25b60cfc45c77dc19b641ee902cf": (
        "ImageNet weights of Keras up to stage conv4"
    )
}


@dataclass(frozen=True)
class Extractor:
    """A compiled backbone.

    graph : the frozen graph, as the new bundle will carry it
    size : of the input
    maps : function from float32 (n, height, width, 3) to float32 (n, rows, columns, channels)
    origin : entry about the backbone for the new bundle's manifest
    trained_on : digests of the mammograms that it was trained on; None if they are not recorded
    """

    graph: bytes
    size: InputSize
    maps: Run
    origin: dict[str, Any]
    trained_on: TrainingDigests | None = None

    @property
    def source(self) -> str:
        """The model or file that the weights are from, in a few words."""
        if taken_from := self.origin.get("taken_from"):
            return f"the backbone of the model {taken_from}"
        return f"the backbone ({self.origin.get('weights', 'weights of unknown origin')})"

    @property
    def title(self) -> str:
        """Network and origin of its weights, in a few words."""
        weights = self.origin.get("weights") or f"weights of model {self.origin.get('taken_from')}"
        tuned = self.origin.get("fine_tuned")
        more = f", fine-tuned from stage {tuned['from']} on" if tuned else ""
        return f"{self.origin.get('network', 'ResNet50')}, {weights}{more}"

    @property
    def location(self) -> dict[str, Any] | None:
        """Facts about the location head that the graph contains, ``channel`` among them; None if it has none."""
        return self.origin.get("location")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the graph."""
        return hashlib.sha256(self.graph).hexdigest()


def from_bundle(
    path: Path, engine: str, precision: str, size: InputSize | None = None, cache: Path | None = None
) -> Extractor:
    """Open the backbone of an existing bundle, usually that of the demonstration model.

    Parameters
    ----------
    size : of the input; the bundle's if None
    cache : as in :func:`from_graph`, for another size

    Raises
    ------
    ModelError
        The bundle is missing or damaged.
    """
    if not path.is_dir():
        raise ModelError(
            f"The demonstration model {path.name} with its backbone is missing from {path.parent}. Restore "
            "the folder, or train with --backbone-weights imagenet or --backbone-weights PATH."
        )
    from training.engine.freeze import resized
    from training.engine.keras_import import import_keras

    import_keras()  # TensorFlow rounds the features
    bundle = bundles.load(path)
    origin = {**bundle.manifest.get("backbone", {}), "taken_from": bundle.name}
    graph = (path / bundles.BACKBONE).read_bytes()
    if size is not None and size != bundle.size:
        other = from_graph(resized(graph, size), size, origin, cache, engine, precision)
        return replace(other, trained_on=bundle.trained_on)
    return Extractor(
        graph, bundle.size, open_engine(bundle, engine, precision).maps, origin, bundle.trained_on
    )


def from_keras(
    network: str, weights: str, cache: Path, engine: str, precision: str, size: InputSize = DEFAULT_SIZE
) -> Extractor:
    """Build a network of Keras and freeze it for a bundle.

    Parameters
    ----------
    network : a key of :data:`training.engine.backbone.BACKBONES`
    weights : ``"imagenet"``, which downloads, or the path of a Keras ``.h5`` file without top

    Raises
    ------
    ModelError
        The weights are unavailable or do not fit.
    """
    from training.engine.backbone import BACKBONES, freeze_backbone, keras_backbone
    from training.engine.keras_import import import_keras

    import_keras()
    graph = freeze_backbone(keras_backbone(network, weights), size)
    title = _imagenet_title(weights)
    origin = {"network": BACKBONES[network].title, "weights": title or f"weights file {Path(weights).name}"}
    made = from_graph(graph, size, origin, cache, engine, precision)
    return replace(made, trained_on=training_digests.NOTHING) if title else made


def _imagenet_title(weights: str) -> str:
    """Return a description of weights that were trained on ImageNet, and on no mammogram; empty for others."""
    if weights == "imagenet":
        return "ImageNet weights of Keras"
    return _IMAGENET_FILES.get(hashlib.sha256(Path(weights).read_bytes()).hexdigest(), "")


def with_location(source: Extractor, head: LocationHead, site: Site) -> Extractor:
    """Append the activation of a location head to the maps of a backbone."""
    facts = {"channel": head.kernels[0].shape[2], **head.facts}
    graph = head.appended(source.graph, source.size)
    origin = {**source.origin, "location": facts}
    made = from_graph(graph, source.size, origin, site.cache, site.engine, site.precision)
    return replace(made, trained_on=source.trained_on)


def without_location(source: Extractor, site: Site) -> Extractor:
    """Return a backbone without the location head that it may contain."""
    if source.location is None:
        return source
    graph = joining.without_channels(source.graph)
    origin = {name: value for name, value in source.origin.items() if name != "location"}
    made = from_graph(graph, source.size, origin, site.cache, site.engine, site.precision)
    return replace(made, trained_on=source.trained_on)


def from_graph(
    graph: bytes, size: InputSize, origin: dict[str, Any], cache: Path | None, engine: str, precision: str
) -> Extractor:
    """Compile a frozen graph, which is written below ``cache``, or the system's folder, for a moment."""
    if cache is not None:
        os.makedirs(cache, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        path = Path(folder) / bundles.BACKBONE
        path.write_bytes(graph)
        run = open_graph(path, engine, precision)
    return Extractor(graph, size, run, origin)
