"""Training of the demonstration model.

ResNet50 starts from ImageNet weights up to stage conv4; stage conv5 and the paper's dense head start from random
weights. They are trained on two public sets and phantoms, split by patient, with labels as sets of categories.
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
from birads_app.model.preprocess import InputSize
from training.config import Site
from training.engine.backbone import freeze_backbone, keras_resnet50
from training.engine.freeze import freeze
from training.engine.keras_import import import_keras
from training.engine.multitask import CONV4, FineTuning, ImageSet, Schedule
from training.heads import DenseHead
from training.pipeline.name_lock import hold_name
from training.pipeline.run_directory import RunDirectory
from training.presets import demonstration_card, demonstration_data, demonstration_ood
from training.presets.demonstration_data import CESM, CLASSES, DDSM, KAU, PHANTOMS, PublicSets, Source
from training.presets.model_comparison import (
    ComparedModel,
    ModelFigures,
    calibrated,
    evaluate_model,
    in_batches,
    of_bundle,
    of_logistic_regression,
    table,
)

log = logging.getLogger(__name__)

_IMAGENET = "weights/resnet50_keras_v1_c4_exact.weights.h5"


@dataclass(frozen=True)
class DemonstrationConfig:
    """Hyperparameters of the demonstration model; saved in the bundle."""

    size: int = 224  # side of the square input
    seed: int = 7
    validation: float = 0.15
    test: float = 0.25
    phantom_patients: int = 250
    phantom_seed: int = 20_000  # not used by tests or `flask end-to-end-check`
    # Share of each source in a sample. Real BI-RADS labels are few but most precise; only phantoms separate 1 from 2.
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
    """Train, evaluate and write the demonstration model, continuing an interrupted run.

    Parameters
    ----------
    data : folder with the public sets and the ImageNet weights
    work : folder for checkpoints and feature maps of this run; kept afterwards
    compare_with : other bundles to compare with on the model card

    Raises
    ------
    DatasetError, ModelError
        A data set is missing, the name is taken, or a bundle to compare with cannot be used.
    """
    with hold_name(site.models, name):
        settings = {
            "data": str(data.resolve()),
            "compare_with": [str(path.resolve()) for path in compare_with],
        }
        RunDirectory(work).save(settings, "demo")
        sets = _read(data, config)
        compared = [of_bundle(path, site, config.size) for path in compare_with]
        phantoms = demonstration_data.draw_phantoms(config.phantom_patients, config.phantom_seed, config.size)
        run = fine_tune(data, work, config, sets, phantoms)
        backbone, head = _serving_graphs(run, config, work)
        maps, logits = (
            open_graph(graph, site.engine, precision)
            for graph, precision in ((backbone, site.precision), (head, "f32"))
        )
        calibrated_model = calibrated(name, in_batches(maps, logits), sets)
        ours, *others = _evaluate([calibrated_model, *compared], data, site, config, sets)
        manifest = _manifest(sets, config, calibrated_model)
        record = {
            **ours.as_dict(),
            "compared": {one.title: one.as_dict() for one in others},
            "learning_curves": {
                name: [epoch.as_dict() for epoch in curve] for name, curve in run.curves.items()
            },
        }
        written = bundles.write(
            site.models,
            name,
            manifest=manifest,
            card=demonstration_card.card(name, manifest, record),
            backbone=backbone.read_bytes(),
            head=head.read_bytes(),
            evaluation=record,
            trained_on=sets.trained_on(phantoms),
        )
        demonstration_ood.fit_on(bundles.load(written), sets, site)
    return written


def compare(data: Path, paths: Sequence[Path], site: Site, config: DemonstrationConfig) -> str:
    """Return bundles and logistic regression compared on the held-out patients, as a Markdown table."""
    sets = _read(data, config)
    candidates = [of_bundle(path, site, config.size) for path in paths]
    measured = _evaluate(candidates, data, site, config, sets)
    return table({one.title: one.as_dict() for one in measured})


def _read(data: Path, config: DemonstrationConfig) -> PublicSets:
    return demonstration_data.read(
        data, config.size, validation=config.validation, test=config.test, seed=config.seed
    )


def _evaluate(
    candidates: Sequence[ComparedModel],
    data: Path,
    site: Site,
    config: DemonstrationConfig,
    sets: PublicSets,
) -> list[ModelFigures]:
    """Evaluate the models, then logistic regression on frozen features."""
    baseline = of_logistic_regression(data / _IMAGENET, site, sets, config.seed)
    return [evaluate_model(one, sets) for one in (*candidates, baseline)]


def fine_tune(
    data: Path, work: Path, config: DemonstrationConfig, sets: PublicSets, phantoms: Source
) -> FineTuning:
    """Train, or continue training, and return the run with its final weights."""
    keras = import_keras()
    conv4 = _conv4(data, work, config)
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    real = [(sets.sources[name], sets.splits[name]) for name in (CESM, DDSM)]
    training = [(source, split.training) for source, split in real]
    run = FineTuning(
        _imagenet_backbone(data, config),
        _head(config),
        conv4,
        _image_set([*training, (phantoms, np.arange(len(phantoms.labels)))], config),
        _image_set([(source, split.validation) for source, split in real], config),
        config.schedule,
        work,
    )
    run.run()
    return run


def _imagenet_backbone(data: Path, config: DemonstrationConfig) -> Any:
    """Build ResNet50 with ImageNet weights up to conv4."""
    import keras

    backbone = keras_resnet50(None, InputSize.square(config.size))
    keras.Model(backbone.input, backbone.get_layer(CONV4).output).load_weights(data / _IMAGENET)
    return backbone


def _conv4(data: Path, work: Path, config: DemonstrationConfig) -> Callable[[np.ndarray], np.ndarray]:
    """Compile the ImageNet stages: inputs -> conv4 maps."""
    import keras

    backbone = _imagenet_backbone(data, config)
    low = keras.Model(backbone.input, backbone.get_layer(CONV4).output)
    work.mkdir(parents=True, exist_ok=True)
    graph = work / "conv4.pb"
    graph.write_bytes(freeze_backbone(low, InputSize.square(config.size)))
    return open_graph(graph)


def _head(config: DemonstrationConfig) -> Any:
    """Build the model from feature maps to logits of the categories and of the cells.

    Feature maps are pooled in three ways: average, maximum, and attention, which is an average weighted by the cells'
    logits (Ilse et al., Attention-based Deep Multiple Instance Learning, ICML 2018; here supervised by masks).
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


def _image_set(selected: Sequence[tuple[Source, np.ndarray]], config: DemonstrationConfig) -> ImageSet:
    """Join the selected images, pairs of a source and row indices."""
    columns = [
        (
            source.squares,
            source.label_sets,
            source.weights(config.shares[source.name]),
            source.masks,
            source.has_mask,
        )
        for source, _ in selected
    ]
    arrays = [
        [column[rows] for column in source] for source, (_, rows) in zip(columns, selected, strict=True)
    ]
    return ImageSet(*(np.concatenate(column) for column in zip(*arrays, strict=True)))


def _serving_graphs(run: FineTuning, config: DemonstrationConfig, work: Path) -> tuple[Path, Path]:
    """Freeze backbone and head in float32 arithmetic, and return the paths of their graphs in the work folder."""
    import keras

    keras.mixed_precision.set_global_policy("float32")
    backbone, head = keras_resnet50(None, InputSize.square(config.size)), _head(config)
    backbone.set_weights(run.backbone.get_weights())
    head.set_weights(run.head.get_weights())
    maps = head.input.shape
    frozen = (
        freeze_backbone(backbone, InputSize.square(config.size)),
        freeze(lambda x: head(x, training=False)[0], maps, "maps"),
    )
    paths = work / bundles.BACKBONE, work / bundles.HEAD
    for path, graph in zip(paths, frozen, strict=True):
        path.write_bytes(graph)
    return paths


def _manifest(sets: PublicSets, config: DemonstrationConfig, model: ComparedModel) -> dict[str, Any]:
    images = {
        name: [len(split.training), len(split.validation), len(split.test)]
        for name, split in sets.splits.items()
    }
    images[PHANTOMS] = [4 * config.phantom_patients, 0, 0]
    images[KAU] = [0, 0, len(sets.sources[KAU].labels)]
    return {
        "classes": list(CLASSES),
        "demonstration": True,
        "preprocessing": {"version": preprocess.VERSION, "size": config.size},
        "head": {"kind": "dense"},
        "temperature": model.temperature,
        "prediction_set": {"level": conformal.LEVEL, "threshold": model.threshold},
        "exam_rule": model.pooling,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "backbone": {
            "network": "ResNet50",
            "weights": "fine-tuned from ImageNet up to conv4 on mammograms and phantoms",
        },
        "training": {**asdict(config), "images": images},
    }
