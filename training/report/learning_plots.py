"""Plots of learning curves: loss and accuracy by epoch, on training and validation set."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from birads_app.svg.drawing import PERCENT, Axis, rounded
from birads_app.svg.line_plot import Line, line_plot

# Epochs of a curve as Epoch.as_dict of training.engine.learning_curve gives them.
EpochDicts = Sequence[Mapping[str, float | None]]


@dataclass(frozen=True)
class LearningPlot:
    """One curve, drawn.

    caption : what was trained, in a few words
    """

    caption: str
    loss: Markup
    accuracy: Markup


_CAPTIONS = {
    "location head": "Location head; accuracy: images whose highest cell contains a finding, of those with one",
    "head": "Head",
    "fine-tuning": "Backbone and head, fine-tuned; epoch 0 is before it",
}


def learning_plots(curves: Mapping[str, EpochDicts]) -> tuple[LearningPlot, ...]:
    """Draw the curves of an evaluation record, in the order of training; none if nothing was fitted by epochs."""
    return tuple(_plot(name, curve) for name, curve in curves.items() if curve)


def _plot(name: str, curve: EpochDicts) -> LearningPlot:
    first = 0 if curve[0]["loss"] is None else 1  # fine-tuning begins with the head as it was
    epochs = Axis("epoch", rounded(max(5, len(curve) - 1 + first)))
    losses = [value for one in curve for value in (one["loss"], one["validation_loss"]) if value is not None]
    caption = _CAPTIONS.get(name, name)
    return LearningPlot(
        caption,
        line_plot(
            f"Loss by epoch: {caption}",
            list(_lines(curve, "loss", first)),
            epochs,
            Axis("loss", rounded(max(losses, default=1.0))),
        ),
        line_plot(
            f"Accuracy by epoch: {caption}",
            list(_lines(curve, "accuracy", first)),
            epochs,
            Axis("accuracy", PERCENT),
        ),
    )


def _lines(curve: EpochDicts, quantity: str, first: int) -> Iterator[Line]:
    """Yield the lines of a quantity on training and validation set."""
    for name, key in (("training set", quantity), ("validation set", f"validation_{quantity}")):
        values = [(epoch, one[key]) for epoch, one in enumerate(curve, first)]
        yield Line(name, [(epoch, value) for epoch, value in values if value is not None])
