"""Errors of training; each message says what was found and what to do.

BiradsError
└── TrainingError            training cannot go on
    ├── DatasetError         the data set cannot be trained on
    └── NameTaken            another model or a running training has the name
"""

from birads_app.terms.errors import BiradsError


class TrainingError(BiradsError):
    """Training cannot go on."""


class DatasetError(TrainingError):
    """The data set is not laid out as expected or holds too few images."""


class NameTaken(TrainingError):
    """The name of the new model is in use."""
