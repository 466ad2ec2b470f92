"""What can go wrong in training; the message says what was found and what to do.

BiradsError
└── TrainingError            training cannot go on
    ├── DatasetError         the folder of images cannot be learned from
    └── NameTaken            another model, or a training that runs now, has the name
"""

from birads_app.terms.errors import BiradsError


class TrainingError(BiradsError):
    """Training cannot go on."""


class DatasetError(TrainingError):
    """The folder of images is not laid out as expected, or holds too little."""


class NameTaken(TrainingError):
    """The name of the new model is in use."""
