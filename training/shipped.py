"""The recipe of the shipped model, from top to bottom.

ResNet50 starts from ImageNet weights up to stage conv4; stage conv5, for which no such weights are at hand,
and the paper's dense head start from chance. Both are trained on two public sets and phantoms, split by
patient, with labels taken as the sets of categories they leave open.
"""

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.inference import bundle as bundles
from birads_app.inference import preprocess
from birads_app.inference.calibration import fit_temperature
from birads_app.inference.engine import open_graph
from training import shipped_data, shipped_report
from training.backbone import freeze_backbone, keras_resnet50
from training.fine_tune import CONV4, FineTuning, Part, Schedule
from training.freeze import freeze
from training.heads import DenseHead
from training.promote import reserved
from training.shipped_data import CESM, CLASSES, DDSM, KAU, PHANTOMS, Source
from training.shipped_report import Answers
from training.split import Split
from training.work import Work

log = logging.getLogger(__name__)

_IMAGENET = "weights/resnet50_keras_v1_c4_exact.weights.h5"


@dataclass(frozen=True)
class ShippedConfig:
    """The knobs of the shipped model; saved inside the bundle."""

    size: int = 224
    seed: int = 7
    validation: float = 0.15
    test: float = 0.25
    phantom_patients: int = 250
    phantom_seed: int = 20_000  # far from the seeds that tests and `flask prove` use
    # How often each source is drawn. Real BI-RADS labels are few and tell most; phantoms hold 1 and 2 apart.
    shares: dict[str, float] = field(default_factory=lambda: {CESM: 0.35, DDSM: 0.4, PHANTOMS: 0.25})
    dropout: float = 0.5
    schedule: Schedule = field(default_factory=Schedule)


def train_shipped(data: Path, name: str, models: Path, work: Path, config: ShippedConfig) -> Path:
    """Train, measure and write the shipped model; a run that was stopped goes on where it was.

    Parameters
    ----------
    data : folder with the public sets and the ImageNet weights
    work : folder for checkpoints and feature maps of this run; removed by the user when no longer wanted

    Raises
    ------
    DatasetError, BundleError
        A set is missing, or the name is taken.
    """
    with reserved(models, name):
        Work(work).keep({"recipe": "shipped", "data": str(data.resolve())})
        run, sources = fine_tune(data, work, config)
        backbone, head = _serving_graphs(run, config)
        held_out = {name: split(sources[name], config) for name in (CESM, DDSM)}
        temperature = _temperature(run, sources, held_out)
        answers = {name: _answers(run, sources[name], parts.test) for name, parts in held_out.items()}
        answers[KAU] = _answers(run, sources[KAU], np.arange(len(sources[KAU].labels)))
        facts = _facts(run, sources, held_out, config, temperature)
        cesm, kau = (shipped_report.exact(answers[source], temperature) for source in (CESM, KAU))
        ddsm = shipped_report.partial(answers[DDSM], temperature)
        return bundles.write(
            models,
            name,
            manifest=_manifest(facts, config),
            card=shipped_report.card(name, facts, cesm, ddsm, kau),
            backbone=backbone,
            head=head,
            evaluation={
                CESM: cesm.as_dict(),
                DDSM: {key: asdict(figure) for key, figure in ddsm.items()},
                KAU: kau.as_dict(),
                "history": facts["history"],
            },
        )


def fine_tune(data: Path, work: Path, config: ShippedConfig) -> tuple[FineTuning, dict[str, Source]]:
    """Read the material, train, and give the run with its last weights."""
    import keras

    sources = {name: shipped_data.read_real(data, name, config.size) for name in (CESM, DDSM, KAU)}
    sources[PHANTOMS] = shipped_data.draw_phantoms(config.phantom_patients, config.phantom_seed, config.size)
    conv4 = _conv4(data, work, config)
    keras.utils.set_random_seed(config.seed)
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    run = FineTuning(
        _imagenet_backbone(data, config),
        _head(config),
        conv4,
        _part(sources, config, "training", (CESM, DDSM, PHANTOMS)),
        _part(sources, config, "validation", (CESM, DDSM)),
        config.schedule,
        work,
    )
    run.run()
    return run, sources


def _imagenet_backbone(data: Path, config: ShippedConfig) -> Any:
    """ResNet50 with ImageNet weights up to conv4."""
    import keras

    backbone = keras_resnet50(None, config.size)
    keras.Model(backbone.input, backbone.get_layer(CONV4).output).load_weights(data / _IMAGENET)
    return backbone


def _conv4(data: Path, work: Path, config: ShippedConfig) -> Callable[[np.ndarray], np.ndarray]:
    """The ImageNet stages, compiled for speed."""
    import keras

    backbone = _imagenet_backbone(data, config)
    low = keras.Model(backbone.input, backbone.get_layer(CONV4).output)
    work.mkdir(parents=True, exist_ok=True)
    graph = work / "conv4.pb"
    graph.write_bytes(freeze_backbone(low, config.size))
    return open_graph(graph)


def _head(config: ShippedConfig) -> Any:
    """Pooling and the paper's dense layers: maps -> logits."""
    import keras

    maps = keras.Input((config.size // 32, config.size // 32, 2048))
    layers = keras.layers
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(maps), layers.GlobalMaxPooling2D()(maps)])
    for width in DenseHead.widths:
        pooled = layers.Dense(width, activation="relu")(pooled)
        pooled = layers.BatchNormalization()(pooled)
        pooled = layers.Dropout(config.dropout)(pooled)
    return keras.Model(maps, layers.Dense(len(CLASSES), dtype="float32")(pooled))


def _part(sources: dict[str, Source], config: ShippedConfig, part: str, names: tuple[str, ...]) -> Part:
    """The images of one part over several sources. Phantoms are for training only, all of them."""
    squares, possible, weights = [], [], []
    for name in names:
        source = sources[name]
        rows = np.arange(len(source.labels)) if name == PHANTOMS else getattr(split(source, config), part)
        squares.append(source.squares[rows])
        possible.append(source.possible[rows])
        weights.append(source.weights(config.shares[name])[rows])
        log.info("%s, %s: %d images", name, part, len(rows))
    return Part(np.concatenate(squares), np.concatenate(possible), np.concatenate(weights))


def split(source: Source, config: ShippedConfig) -> Split:
    """The parts of a source, by patient."""
    return source.split(config.validation, config.test, config.seed)


def _serving_graphs(run: FineTuning, config: ShippedConfig) -> tuple[bytes, bytes]:
    """Backbone and head, frozen in float32 arithmetic."""
    import keras

    keras.mixed_precision.set_global_policy("float32")
    backbone, head = keras_resnet50(None, config.size), _head(config)
    backbone.set_weights(run.backbone.get_weights())
    head.set_weights(run.head.get_weights())
    maps = head.input.shape
    return freeze_backbone(backbone, config.size), freeze(lambda x: head(x, training=False), maps, "maps")


def _answers(run: FineTuning, source: Source, rows: np.ndarray) -> Answers:
    return Answers(source, rows, run.logits(source.squares[rows]))


def _temperature(run: FineTuning, sources: dict[str, Source], parts: dict[str, Split]) -> float:
    """The temperature that suits the validation patients of both sets."""
    answers = [_answers(run, sources[name], part.validation) for name, part in parts.items()]
    possible = np.concatenate([answer.source.possible[answer.rows] for answer in answers])
    return fit_temperature(np.concatenate([answer.logits for answer in answers]), possible)


def _facts(
    run: FineTuning,
    sources: dict[str, Source],
    parts: dict[str, Split],
    config: ShippedConfig,
    temperature: float,
) -> dict[str, Any]:
    """What the card and the manifest tell besides the figures."""
    images = {
        name: [len(part.training), len(part.validation), len(part.test)] for name, part in parts.items()
    }
    images[PHANTOMS] = [len(sources[PHANTOMS].labels), 0, 0]
    images[KAU] = [0, 0, len(sources[KAU].labels)]
    return {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "size": config.size,
        "temperature": temperature,
        "images": images,
        "ddsm_patients": len({sources[DDSM].patients[row] for row in parts[DDSM].test}),
        "history": run.state["history"],
    }


def _manifest(facts: dict[str, Any], config: ShippedConfig) -> dict[str, Any]:
    return {
        "classes": list(CLASSES),
        "demonstration": True,
        "preprocessing": {"version": preprocess.VERSION, "size": config.size},
        "head": {"kind": "dense"},
        "temperature": facts["temperature"],
        "created": facts["created"],
        "backbone": {
            "network": "ResNet50",
            "weights": "fine-tuned from ImageNet up to conv4 on mammograms and phantoms",
        },
        "training": {**asdict(config), "images": facts["images"]},
    }
