"""The recipe of the shipped model, from top to bottom.

ResNet50 starts from ImageNet weights up to stage conv4; stage conv5, for which no such weights are at hand,
and the paper's dense head start from chance. Both are trained on two public sets and phantoms, split by
patient, with labels taken as the sets of categories they leave open.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import bundles, conformal, preprocess
from birads_app.model.engine import open_graph
from training.config import Site
from training.engine.backbone import freeze_backbone, keras_resnet50
from training.engine.freeze import freeze
from training.engine.multitask import CONV4, FineTuning, ImageSet, Schedule
from training.heads import DenseHead
from training.pipeline.name_lock import hold_name
from training.pipeline.run_directory import RunDirectory
from training.presets import demonstration_card, demonstration_data, demonstration_ood
from training.presets.demonstration_data import CESM, CLASSES, DDSM, KAU, PHANTOMS, Material, Source
from training.presets.model_comparison import (
    ComparedModel,
    ModelFigures,
    calibrated,
    in_parts,
    measure,
    of_bundle,
    of_logistic_regression,
    table,
)

log = logging.getLogger(__name__)

_IMAGENET = "weights/resnet50_keras_v1_c4_exact.weights.h5"


@dataclass(frozen=True)
class DemonstrationConfig:
    """The knobs of the shipped model; saved inside the bundle."""

    size: int = 224
    seed: int = 7
    validation: float = 0.15
    test: float = 0.25
    phantom_patients: int = 250
    phantom_seed: int = 20_000  # far from the seeds that tests and `flask end-to-end-check` use
    # How often each source is drawn. Real BI-RADS labels are few and tell most; phantoms hold 1 and 2 apart.
    shares: dict[str, float] = field(default_factory=lambda: {CESM: 0.35, DDSM: 0.4, PHANTOMS: 0.25})
    dropout: float = 0.5
    schedule: Schedule = field(default_factory=Schedule)


def train_demonstration(
    data: Path,
    name: str,
    site: Site,
    work: Path,
    config: DemonstrationConfig,
    compare_with: Sequence[Path] = (),
) -> Path:
    """Train, measure and write the demonstration model; an interrupted run continues.

    Parameters
    ----------
    data : folder with the public sets and the ImageNet weights
    work : folder for checkpoints and feature maps of this run; removed by the user when no longer wanted
    compare_with : other bundles to compare with on the model card

    Raises
    ------
    DatasetError, ModelError
        A set is missing, the name is taken, or a bundle to compare with cannot be used.
    """
    with hold_name(site.models, name):
        settings = {
            "data": str(data.resolve()),
            "compare_with": [str(path.resolve()) for path in compare_with],
        }
        RunDirectory(work).save(settings, "demo")
        material = _read(data, config)
        compared = [of_bundle(path, site, config.size) for path in compare_with]
        run = fine_tune(data, work, config, material)
        backbone, head = _serving_graphs(run, config, work)
        maps, logits = (
            open_graph(graph, site.engine, precision)
            for graph, precision in ((backbone, site.precision), (head, "f32"))
        )
        served = calibrated(name, in_parts(maps, logits), material)
        ours, *others = _measured([served, *compared], data, site, config, material)
        manifest = _manifest(material, config, served)
        record = {
            **ours.as_dict(),
            "compared": {one.title: one.as_dict() for one in others},
            "history": run.state["history"],
        }
        written = bundles.write(
            site.models,
            name,
            manifest=manifest,
            card=demonstration_card.card(name, manifest, record),
            backbone=backbone.read_bytes(),
            head=head.read_bytes(),
            evaluation=record,
        )
        demonstration_ood.fit(written, data, site)
    return written


def compare(data: Path, paths: Sequence[Path], site: Site, config: DemonstrationConfig) -> str:
    """Return bundles and logistic regression compared on the held-out patients, as a Markdown table."""
    material = _read(data, config)
    candidates = [of_bundle(path, site, config.size) for path in paths]
    measured = _measured(candidates, data, site, config, material)
    return table({one.title: one.as_dict() for one in measured})


def _read(data: Path, config: DemonstrationConfig) -> Material:
    return demonstration_data.read(
        data, config.size, validation=config.validation, test=config.test, seed=config.seed
    )


def _measured(
    candidates: Sequence[ComparedModel],
    data: Path,
    site: Site,
    config: DemonstrationConfig,
    material: Material,
) -> list[ModelFigures]:
    """Figures of the models, then of logistic regression on frozen features."""
    plain = of_logistic_regression(data / _IMAGENET, site, material, config.seed)
    return [measure(one, material) for one in (*candidates, plain)]


def fine_tune(data: Path, work: Path, config: DemonstrationConfig, material: Material) -> FineTuning:
    """Train or continue, and return the run with its last weights."""
    import keras

    phantoms = demonstration_data.draw_phantoms(config.phantom_patients, config.phantom_seed, config.size)
    conv4 = _conv4(data, work, config)
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    real = [(material.sources[name], material.parts[name]) for name in (CESM, DDSM)]
    training = [(source, parts.training) for source, parts in real]
    run = FineTuning(
        _imagenet_backbone(data, config),
        _head(config),
        conv4,
        _part([*training, (phantoms, np.arange(len(phantoms.labels)))], config),
        _part([(source, parts.validation) for source, parts in real], config),
        config.schedule,
        work,
    )
    run.run()
    return run


def _imagenet_backbone(data: Path, config: DemonstrationConfig) -> Any:
    """ResNet50 with ImageNet weights up to conv4."""
    import keras

    backbone = keras_resnet50(None, config.size)
    keras.Model(backbone.input, backbone.get_layer(CONV4).output).load_weights(data / _IMAGENET)
    return backbone


def _conv4(data: Path, work: Path, config: DemonstrationConfig) -> Callable[[np.ndarray], np.ndarray]:
    """ImageNet stages as a compiled graph."""
    import keras

    backbone = _imagenet_backbone(data, config)
    low = keras.Model(backbone.input, backbone.get_layer(CONV4).output)
    work.mkdir(parents=True, exist_ok=True)
    graph = work / "conv4.pb"
    graph.write_bytes(freeze_backbone(low, config.size))
    return open_graph(graph)


def _head(config: DemonstrationConfig) -> Any:
    """Model from feature maps to logits of the categories and of the cells.

    Features are pooled in three ways: average, maximum, and an average weighted by how much each cell looks like a
    finding (attention, after Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018, supervised by
    outlines).
    """
    import keras

    layers, side = keras.layers, config.size // 32
    maps = keras.Input((side, side, 2048))
    cells = layers.Flatten()(layers.Conv2D(1, 1, dtype="float32")(maps))
    attended = layers.Dot(1)([layers.Softmax()(cells), layers.Reshape((side * side, 2048))(maps)])
    pooled = layers.Concatenate()(
        [layers.GlobalAveragePooling2D()(maps), layers.GlobalMaxPooling2D()(maps), attended]
    )
    for width in DenseHead.widths:
        pooled = layers.Dense(width, activation="relu")(pooled)
        pooled = layers.BatchNormalization()(pooled)
        pooled = layers.Dropout(config.dropout)(pooled)
    return keras.Model(maps, [layers.Dense(len(CLASSES), dtype="float32")(pooled), cells])


def _part(chosen: Sequence[tuple[Source, np.ndarray]], config: DemonstrationConfig) -> ImageSet:
    """Join images of several sources."""
    columns = [
        (
            source.squares,
            source.possible,
            source.weights(config.shares[source.name]),
            source.outlines,
            source.outlined,
        )
        for source, _ in chosen
    ]
    parts = [[column[rows] for column in each] for each, (_, rows) in zip(columns, chosen, strict=True)]
    return ImageSet(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _serving_graphs(run: FineTuning, config: DemonstrationConfig, work: Path) -> tuple[Path, Path]:
    """Backbone and head, frozen in float32 arithmetic, as files in the work folder."""
    import keras

    keras.mixed_precision.set_global_policy("float32")
    backbone, head = keras_resnet50(None, config.size), _head(config)
    backbone.set_weights(run.backbone.get_weights())
    head.set_weights(run.head.get_weights())
    maps = head.input.shape
    frozen = (
        freeze_backbone(backbone, config.size),
        freeze(lambda x: head(x, training=False)[0], maps, "maps"),
    )
    paths = work / bundles.BACKBONE, work / bundles.HEAD
    for path, graph in zip(paths, frozen, strict=True):
        path.write_bytes(graph)
    return paths


def _manifest(material: Material, config: DemonstrationConfig, served: ComparedModel) -> dict[str, Any]:
    images = {
        name: [len(part.training), len(part.validation), len(part.test)]
        for name, part in material.parts.items()
    }
    images[PHANTOMS] = [4 * config.phantom_patients, 0, 0]
    images[KAU] = [0, 0, len(material.sources[KAU].labels)]
    return {
        "classes": list(CLASSES),
        "demonstration": True,
        "preprocessing": {"version": preprocess.VERSION, "size": config.size},
        "head": {"kind": "dense"},
        "temperature": served.temperature,
        "prediction_set": {"level": conformal.LEVEL, "threshold": served.threshold},
        "exam_rule": served.pooling,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "backbone": {
            "network": "ResNet50",
            "weights": "fine-tuned from ImageNet up to conv4 on mammograms and phantoms",
        },
        "training": {**asdict(config), "images": images},
    }
