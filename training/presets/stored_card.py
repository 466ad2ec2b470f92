"""The model card of an existing bundle, rendered again from its stored figures."""

import json

from birads_app.model.bundles import EVALUATION, OOD_CARD, Bundle
from birads_app.terms.errors import ModelError
from training.pipeline import ensemble
from training.presets import demonstration_card, demonstration_ood
from training.report import ensemble_card, text


def render(bundle: Bundle) -> tuple[str, str | None]:
    """Return the card, and its section about the OOD detector if that is a file of its own, as training writes them.

    Raises
    ------
    ModelError
        A figure is missing, as in models of earlier versions.
    """
    manifest = bundle.manifest
    try:
        record = json.loads((bundle.path / EVALUATION).read_text("utf-8"))
        if bundle.head == ensemble.KIND:
            return ensemble_card.card(bundle.name, manifest, record), None
        card = (
            demonstration_card.card(bundle.name, manifest, record)
            if bundle.demonstration
            else text.card(record)
        )
        section = demonstration_ood.card(manifest["ood"]) if OOD_CARD in manifest["files"] else None
    except KeyError as error:
        raise ModelError(
            f"The card of {bundle.name} cannot be rendered: its {EVALUATION} or manifest.json lacks {error}. It was "
            "left as it is. Train the model again for a card of this version."
        ) from error
    return card, section
