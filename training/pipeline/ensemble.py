"""Ensembles: several bundles as one, whose probabilities are the means of theirs."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from birads_app.model import bundles, evaluation, registry, training_digests
from birads_app.model.bundles import Bundle
from birads_app.model.engine import open_engine
from birads_app.terms.errors import ModelError
from training.engine import joining
from training.pipeline.name_lock import hold_name
from training.report import ensemble_card

KIND = "ensemble"


def write(models: Path, name: str, members: Sequence[Bundle]) -> Path:
    """Join bundles and write the ensemble.

    Raises
    ------
    ModelError
        There are fewer than two, or they differ in categories, preprocessing, input or rows and columns of the maps.
    NameTaken, BundleError
        The name is taken or not valid, or a graph cannot be read.
    """
    _check(members)
    with hold_name(models, name):
        graphs = [(one.path / bundles.BACKBONE).read_bytes() for one in members]
        distinct = list(dict.fromkeys(graphs))
        shapes = [_map_shape(members[graphs.index(graph)]) for graph in distinct]
        if len({shape[:2] for shape in shapes}) > 1:
            raise ModelError(
                "The models cannot form an ensemble: their feature maps have "
                f"{' and '.join(f'{rows} x {columns}' for rows, columns, _ in shapes)} cells."
            )
        size = members[0].size
        rows, columns = shapes[0][:2]
        joined = [
            joining.EnsembleMember(
                distinct.index(graph), (one.path / bundles.HEAD).read_bytes(), one.temperature
            )
            for graph, one in zip(graphs, members, strict=True)
        ]
        offsets = [int(sum(shape[2] for shape in shapes[: one.backbone])) for one in joined]
        manifest = _manifest(members, graphs, offsets)
        warnings = [f"{one.name}: {text}" for one in members for text in one.cautions]
        record = {"warnings": warnings, "members": [*_figures(members)]}
        return bundles.write(
            models,
            name,
            manifest=manifest,
            card=ensemble_card.card(name, manifest, record),
            backbone=distinct[0] if len(distinct) == 1 else joining.join_backbones(distinct, size),
            head=joining.join_heads(joined, rows, columns, [shape[2] for shape in shapes]),
            evaluation=record,
            ood_detector=members[0].ood_detector if len(distinct) == 1 else None,
            trained_on=training_digests.joined([one.trained_on for one in members]),
        )


def _check(members: Sequence[Bundle]) -> None:
    """Raise ModelError unless the bundles can form an ensemble."""
    names = [one.name for one in members]
    if len(set(names)) < 2:
        raise ModelError(
            f"An ensemble needs at least two different models. Got {', '.join(names) or 'none'}."
        )
    for what, values in (
        ("categories", [", ".join(one.classes) for one in members]),
        ("input sizes", [str(one.size) for one in members]),
        ("preprocessing", [str(one.manifest["preprocessing"]["version"]) for one in members]),
    ):
        if len(set(values)) > 1:
            told = "; ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
            raise ModelError(f"Models of an ensemble need the same {what}. Got {told}.")


def _map_shape(member: Bundle) -> tuple[int, int, int]:
    """Return rows, columns and channels of a bundle's feature maps."""
    maps = open_engine(member).maps(np.zeros((1, *member.size, 3), np.float32))
    return maps.shape[1], maps.shape[2], maps.shape[3]


def _manifest(members: Sequence[Bundle], graphs: Sequence[bytes], offsets: Sequence[int]) -> dict[str, Any]:
    """Join the manifests; whatever speaks against a member speaks against the ensemble.

    Marks are those of the first member that makes any.

    Parameters
    ----------
    offsets : first channel of each member's maps among the joined ones
    """
    objections = [text for one in members if (text := registry.objection(one.manifest))]
    return {
        "classes": list(members[0].classes),
        "demonstration": any(one.demonstration for one in members),
        "preprocessing": members[0].manifest["preprocessing"],
        "head": {
            "kind": KIND,
            "members": [
                {
                    "name": one.name,
                    "created": str(one.manifest.get("created", "")),
                    "temperature": one.temperature,
                    "manifest_sha256": bundles.version(one.path.parent, one.name),
                    "backbone_sha256": hashlib.sha256(graph).hexdigest(),
                }
                for one, graph in zip(members, graphs, strict=True)
            ],
        },
        **_located(members, offsets),
        "temperature": 1.0,
        "exam_rule": members[0].pooling,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "leaks": any(one.manifest.get("leaks") for one in members),
        "protocol": {"title": f"ensemble of {len(members)} models", "may_serve": not objections},
    }


def _located(members: Sequence[Bundle], offsets: Sequence[int]) -> dict[str, Any]:
    """Return the entry about the backbone, with the location head of the first member that has one."""
    for one, offset in zip(members, offsets, strict=True):
        if one.location is not None:
            found = {"channel": offset + one.location.channel, "threshold": one.location.threshold}
            return {"backbone": {"location": {**found, "member": one.name}}}
    return {}


def _figures(members: Sequence[Bundle]) -> Iterator[dict[str, Any]]:
    """Yield model, test set and figures of each test set on the members' cards."""
    for one in members:
        record = json.loads((one.path / bundles.EVALUATION).read_text("utf-8"))
        found = list(evaluation.measured_sets(record))
        for test_set, figures in found or [("", {"figures": {}})]:
            yield {"model": one.name, "test_set": test_set or "its own", "figures": figures["figures"]}
