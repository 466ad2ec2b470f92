"""Presets of ``flask train``: the demonstration model, as a configuration, a label table and a text for its card.

``demo.yaml`` has the hyperparameters, :mod:`training.presets.public_sets` writes the table, ``demo.md`` is the text.
"""

from pathlib import Path

DEMO = "demo"


def configuration(preset: str) -> Path:
    """Return the YAML file of a preset."""
    return Path(__file__).with_name(f"{preset}.yaml")


def about(preset: str) -> str:
    """Return the text of a preset for the model card, in Markdown; empty without a preset."""
    return Path(__file__).with_name(f"{preset}.md").read_text("utf-8").strip() if preset else ""
