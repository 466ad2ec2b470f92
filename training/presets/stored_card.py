"""The model card of an existing bundle, rendered again from its stored figures."""

import json

from birads_app.model.bundles import EVALUATION, Bundle
from birads_app.terms.errors import ModelError
from training.pipeline import ensemble
from training.report import ensemble_card, text


def render(bundle: Bundle) -> str:
    """Return the card, as training writes it.

    Raises
    ------
    ModelError
        A figure is missing, as in models of earlier versions.
    """
    try:
        record = json.loads((bundle.path / EVALUATION).read_text("utf-8"))
        if bundle.head == ensemble.KIND:
            return ensemble_card.card(bundle.name, bundle.manifest, record)
        return text.card(record)
    except KeyError as error:
        raise ModelError(
            f"The card of {bundle.name} cannot be rendered: its {EVALUATION} or manifest.json lacks {error}. It was "
            "left as it is. Train the model again for a card of this version."
        ) from error
