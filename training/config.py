"""Configuration of a training: its hyperparameters, and the folders and engine it runs with."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.errors import TrainingError

# The loss functions of network heads.
CROSS_ENTROPY, ORDINAL = "cross-entropy", "ordinal"
LOSSES = (CROSS_ENTROPY, ORDINAL)
# The demonstration model, whose backbone extracts the features by default.
DEMO_MODEL, DEMO_WEIGHTS = "birads-demo", "demo"
# Fields that bundles and interrupted trainings of earlier versions keep under other names.
_FORMER_NAMES = {"traps": "sanity_checks", "images": "report_images"}


@dataclass(frozen=True)
class TrainConfig:
    """Data, protocol and hyperparameters of a training; all are kept in the bundle's manifest."""

    data: str  # folder with one folder of images per category, or a table of labels
    name: str  # of the new bundle
    classes: tuple[str, ...] = ()  # categories to train on; all that the data have if empty
    patient_pattern: str | None = None  # for file names of no known pattern, without a table
    backbone: str = "resnet50"  # "vgg16" and "vgg19" are for comparison and several times slower
    backbone_weights: str = (
        DEMO_WEIGHTS  # "imagenet" for features not trained on mammograms, or a Keras .h5 file
    )
    size: str = (
        ""  # of the input, "448" or "896x448"; that of the backbone if empty: small findings need more
    )
    head: str = "dense"
    pooling: str = "avg+max"  # "avg" as the paper; "gem" or "attention" where findings are small
    loss: str = CROSS_ENTROPY  # "ordinal" penalises distant categories more than neighbouring ones
    fine_tune: str | None = (
        None  # first stage of the backbone to fine-tune; worth it with a thousand images or more
    )
    fine_tune_rate: float = 3e-5  # above 1e-4 the stages lose what they had learned
    fine_tune_epochs: int = 20
    fine_tune_patience: int = 4
    seed: int = 0
    test_share: float = 0.2  # more gives narrower intervals and a smaller training set
    validation_share: float = 0.15  # for early stopping and calibration
    resampling: str = "smote-train"  # "none" shows the effect of imbalance, "smote-all" that of leakage
    split: str = "patient"  # "image" shows the effect of leakage
    folds: int = 0  # 5 or 10 to test on all images by cross-validation; takes as many trainings
    smote_neighbours: int = 5
    epochs: int = 100
    patience: int = 12  # raise it if the validation loss is noisy
    batch_size: int = 32
    learning_rate: float = 1e-3
    dropout: float = 0.5  # lower it if even the training set is not fitted
    replicates: int = 2000  # bootstrap samples behind each interval
    sanity_checks: bool = (
        True  # metadata baseline and label permutation; the latter fits the head five more times
    )
    report_images: bool = True  # test images in report.html; leave them out of a report that others will see

    @classmethod
    def read(cls, settings: dict[str, Any]) -> "TrainConfig":
        """Read a configuration from its fields as kept in JSON, also by earlier versions.

        Raises
        ------
        TrainingError
            The fields are damaged or those of another version.
        """
        try:
            return cls(**{**_renamed(settings), "classes": tuple(settings["classes"])})
        except (TypeError, KeyError) as error:
            raise TrainingError(
                "The settings of the interrupted training are damaged or of another version of this program. "
                "Start over, without --resume."
            ) from error


def _renamed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings with the fields that earlier versions named differently under their present names."""
    present = {_FORMER_NAMES.get(name, name): value for name, value in settings.items()}
    if present.get("backbone_weights") == "shipped":
        present["backbone_weights"] = DEMO_WEIGHTS
    return present


@dataclass(frozen=True)
class Site:
    """Folders and engine of a training; they have no influence on its result.

    models : folder of bundles, from which the demonstration model's backbone is read
    cache : folder of the feature store and of other caches
    target : folder that receives the new bundle; ``models`` when None
    work : folder of run directories, from which interrupted trainings resume; None keeps nothing
    """

    models: Path
    cache: Path
    engine: str = "openvino"
    precision: str = "bf16"
    target: Path | None = None
    work: Path | None = None
