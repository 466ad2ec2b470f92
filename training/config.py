"""What can be turned in a training, and where it runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError

# The loss functions of network heads.
CROSS_ENTROPY, ORDINAL = "cross-entropy", "ordinal"
LOSSES = (CROSS_ENTROPY, ORDINAL)
# The bundle that comes with the product, whose backbone makes the features unless another is asked for.
SHIPPED = "birads-demo"
# Fields that bundles and interrupted trainings of earlier versions keep under other names.
_FORMER_NAMES = {"traps": "sanity_checks", "images": "report_images"}


@dataclass(frozen=True)
class TrainConfig:
    """The knobs of a training; all are kept in the bundle's manifest."""

    data: str  # folder with one folder of images per category, or a table of labels
    name: str  # of the new bundle
    classes: tuple[str, ...] = ()  # categories to learn; all found when empty
    patient_pattern: str | None = None  # where neither a table nor a known way of naming tells the patients
    backbone: str = "resnet50"  # "vgg16" and "vgg19" to compare with; they are several times slower
    backbone_weights: str = "shipped"  # "imagenet" for features that saw no mammogram, or a Keras .h5 file
    head: str = "dense"
    loss: str = CROSS_ENTROPY  # "ordinal" where naming a distant category is worse than a neighbour
    fine_tune: str | None = (
        None  # the backbone learns from this stage on; worth it with a thousand images or more
    )
    fine_tune_rate: float = 3e-5  # above 1e-4 the stages forget what they know
    fine_tune_epochs: int = 20
    fine_tune_patience: int = 4
    seed: int = 0
    test_share: float = 0.2  # more gives narrower intervals, and less to learn from
    validation_share: float = 0.15  # early stopping and temperature come from these patients
    resampling: str = "smote-train"  # "none" to see what imbalance does, "smote-all" to see what leaks
    split: str = "patient"  # "image" to see what leaks
    folds: int = 0  # 5 or 10 to measure on all images by cross-validation, at so many times the effort
    smote_neighbours: int = 5
    epochs: int = 100
    patience: int = 12  # raise where the validation loss is jumpy
    batch_size: int = 32
    learning_rate: float = 1e-3
    dropout: float = 0.5  # lower where even the training part is not learned
    replicates: int = 2000  # bootstrap samples behind each interval
    sanity_checks: bool = (
        True  # metadata baseline and label permutation; the latter fits the head five more times
    )
    report_images: bool = True  # test images in the report; leave them out where it is passed on

    @classmethod
    def read(cls, settings: dict[str, Any]) -> "TrainConfig":
        """The configuration whose fields were kept as JSON.

        Raises
        ------
        TrainingError
            It is damaged, or of a program with other knobs.
        """
        try:
            return cls(**{**_renamed(settings), "classes": tuple(settings["classes"])})
        except (TypeError, KeyError) as error:
            raise TrainingError(
                "The settings of the interrupted training are damaged or of another version of this program. "
                "Train anew, without --resume."
            ) from error


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the fields that earlier versions named differently under their present names."""
    return {_FORMER_NAMES.get(name, name): value for name, value in settings.items()}


@dataclass(frozen=True)
class Site:
    """Where and with what a training runs; no part of the recipe.

    models : folder of bundles, read for the shipped backbone
    cache : folder for feature maps
    target : folder that receives the new bundle; ``models`` when None
    work : folder for what a training that is stopped leaves; nothing is kept when None
    """

    models: Path
    cache: Path
    engine: str = "openvino"
    precision: str = "bf16"
    target: Path | None = None
    work: Path | None = None
