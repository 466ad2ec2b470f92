"""Configuration of a training: its hyperparameters, and the folders and engine it runs with."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from training.errors import TrainingError

# The loss functions of network heads.
CROSS_ENTROPY, ORDINAL, FOCAL = "cross-entropy", "ordinal", "focal"
LOSSES = (CROSS_ENTROPY, ORDINAL, FOCAL)
# The names in training.heads, which needs heavy packages.
HEADS = (
    "dense",
    "cnn-lstm",
    "conv-transformer",
    "knn",
    "svm",
    "logistic-regression",
    "random-forest",
    "decision-tree",
)
# The names in training.heads.pooling, likewise.
POOLINGS = ("avg+max", "avg", "gem", "attention", "located")
# Weights of categories in the loss: equal, or inverse to their numbers of images.
NO_WEIGHTS, BALANCED_WEIGHTS = "none", "balanced"
# The demonstration model, whose backbone extracts the features by default.
DEMO_MODEL, DEMO_WEIGHTS = "birads-demo", "demo"
# Weights of the backbone that Keras downloads.
IMAGENET = "imagenet"
# Key of a field's description in its metadata.
_DESCRIPTION = "hyperparameter"
# Fields that bundles and interrupted trainings of earlier versions keep under other names.
_FORMER_NAMES = {"traps": "sanity_checks", "images": "report_images"}


@dataclass(frozen=True)
class Hyperparameter:
    """Description of a field of :class:`TrainConfig`, from which its option and its field in the browser are made.

    help : text of ``flask train --help``
    low, high : smallest and largest value of a number; None without a limit
    choices : values of a text that the command line checks; empty for others
    metavar : placeholder of other texts in the help, values separated by bars if there are few
    search : bounds of a number, or values of a text, among which ``flask tune`` searches; empty if it cannot
    log : True if it searches on a logarithmic scale
    """

    help: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    metavar: str = ""
    search: tuple[Any, ...] = ()
    log: bool = False


def _field(default: Any, help: str, **more: Any) -> Any:
    """Make a field with its description."""
    return field(default=default, metadata={_DESCRIPTION: Hyperparameter(help, **more)})


@dataclass(frozen=True)
class TrainConfig:
    """Data, protocol and hyperparameters of a training; all are kept in the bundle's manifest.

    data : folder with one folder of images per category, or a table of labels
    name : of the new bundle
    preset : from which the other values are; empty without one
    """

    data: str
    name: str
    preset: str = ""
    classes: tuple[str, ...] = _field(
        (), "Categories to train on, for example 1,3,4,5. Default: all found.", metavar="CODES"
    )
    patient_pattern: str | None = _field(
        None,
        "Regular expression that finds the patient ID in a file's path below the data folder.",
        metavar="REGEX",
    )
    backbone: str = _field(
        "resnet50",
        "Network that extracts the features; the others are for comparison and several times slower.",
        choices=("resnet50", "vgg16", "vgg19"),
    )
    backbone_weights: str = _field(
        DEMO_WEIGHTS,
        "Weights of the backbone: those of the demonstration model (resnet50 only), Keras' ImageNet weights "
        "(downloaded), or a Keras .h5 file without top layers; for resnet50 it may end at conv4.",
        metavar=f"{DEMO_WEIGHTS}|{IMAGENET}|PATH",
    )
    size: str = _field(
        "",
        "Side of the backbone's input: 224, 320, 448 or 896, or height and width as 896x448. Default: the backbone's "
        "own, 224 for those of Keras. Small findings need more; the time grows with the area.",
        metavar="PIXELS",
    )
    head: str = _field("dense", "Classification head.", metavar="|".join(HEADS))
    pooling: str = _field(
        "avg+max",
        "Pooling of the feature map: average and maximum of each channel, average alone as in the paper, generalised "
        "mean, an average whose weights are learned, or the places where a finding is located, which needs outlines of "
        "findings (a column mask) or a backbone that has learned from some.",
        choices=POOLINGS,
    )
    loss: str = _field(
        CROSS_ENTROPY,
        "Loss of dense, cnn-lstm and conv-transformer. ordinal penalises a prediction by its distance from the true "
        "category; focal gives less weight to images that are predicted well already.",
        metavar="|".join(LOSSES),
        search=LOSSES,
    )
    focal_gamma: float = _field(
        2.0, "Exponent of the focal loss; 0 makes it the cross-entropy.", low=0, high=10, search=(0.5, 4.0)
    )
    class_weights: str = _field(
        NO_WEIGHTS,
        "Weights of the categories in the loss of dense, cnn-lstm and conv-transformer: none, balanced (inverse to "
        "their number of images), or those that differ from 1, for example 4=2,5=3.",
        metavar="WEIGHTS",
    )
    source_weights: str = _field(
        "",
        "Weights of the images of each source that a table of labels names, such as hospital=2,collection=0.5; 1 for "
        "others. --fine-tune samples images by them.",
        metavar="WEIGHTS",
    )
    learning_rate: float = _field(
        1e-3, "Learning rate of these heads.", low=1e-6, high=1, search=(1e-4, 1e-2), log=True
    )
    batch_size: int = _field(
        32, "Images per step of the training.", low=1, high=4096, search=(16, 128), log=True
    )
    dropout: float = _field(
        0.5,
        "Dropout of these heads; lower it if even the training set is not fitted.",
        low=0,
        high=0.95,
        search=(0.0, 0.7),
    )
    inverse_penalty: float = _field(
        0.0,
        "Inverse strength of the penalty of logistic-regression; 0 leaves the choice to the validation patients, of "
        "whom a few dozen choose badly.",
        low=0,
        high=1000,
    )
    epochs: int = _field(
        100, "Maximum; training stops early once the validation loss no longer improves.", low=1
    )
    patience: int = _field(12, "Epochs without a lower validation loss before the training stops.", low=1)
    fine_tune: str | None = _field(
        None,
        "Fine-tune the backbone from this stage on, after the head (dense, cnn-lstm and conv-transformer only): "
        "conv5 or conv4 of resnet50, block5 or block4 of vgg, or an earlier one. Worth it with a thousand images or "
        "more.",
        metavar="STAGE",
    )
    fine_tune_rate: float = _field(
        3e-5,
        "Learning rate of --fine-tune; above 1e-4 the stages lose what they had learned.",
        low=1e-8,
        high=0.1,
    )
    fine_tune_epochs: int = _field(20, "Maximum number of epochs of --fine-tune.", low=1)
    fine_tune_patience: int = _field(
        4, "Epochs without a lower validation loss before --fine-tune stops.", low=1
    )
    augmentation: float = _field(
        1.0,
        "Strength of the random shifts, rotations, zooms and exposures of --fine-tune; 0 switches them and the flips "
        "off.",
        low=0,
        high=2,
    )
    seed: int = _field(0, "Random seed of split, resampling and weights.", low=0)
    test_share: float = _field(
        0.2,
        "Share of the images in the test set; more gives narrower intervals and a smaller training set.",
        low=0.05,
        high=0.5,
    )
    validation_share: float = _field(
        0.15,
        "Share of the images in the validation set, for early stopping and calibration.",
        low=0.05,
        high=0.4,
    )
    resampling: str = _field(
        "smote-train",
        "Balance the categories by SMOTE: in the training set only, or before the test or the validation set is split "
        "off, which leaks.",
        choices=("none", "smote-all", "smote-development", "smote-train"),
    )
    smote_neighbours: int = _field(
        5,
        "Neighbours between which SMOTE makes synthetic rows; fewer where a category has too few images.",
        low=1,
        high=50,
        search=(2, 10),
    )
    split: str = _field(
        "patient",
        "Unit of the split. By image, one patient may be in both training and test set, which leaks.",
        choices=("patient", "image"),
    )
    folds: int = _field(
        0, "Evaluate by cross-validation with this many folds; 0 holds out one test set.", low=0, high=100
    )
    replicates: int = _field(
        2000, "Bootstrap samples behind each confidence interval.", low=100, high=100_000
    )
    sanity_checks: bool = _field(
        True, "Also train on file metadata alone and on permuted labels, to detect shortcuts and leaks."
    )
    report_images: bool = _field(True, "Show test images in report.html.")

    @property
    def published(self) -> dict[str, Any]:
        """The fields as a bundle keeps them: with a preset, files are named by their place in its folders."""
        kept = asdict(self)
        if self.preset:
            kept |= {name: "/".join(Path(kept[name]).parts[-2:]) for name in ("data", "backbone_weights")}
        return kept

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


def hyperparameters() -> dict[str, Hyperparameter]:
    """Return the descriptions of all fields that have one, by name, in the order of :class:`TrainConfig`."""
    return {
        one.name: one.metadata[_DESCRIPTION] for one in fields(TrainConfig) if _DESCRIPTION in one.metadata
    }


def defaults() -> dict[str, Any]:
    """Return the default of each described field."""
    return {name: getattr(TrainConfig, name) for name in hyperparameters()}


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
    patient_digest : function from a patient ID to its digest under the site's key; None without such a key
    scheduler : address of a Dask cluster that computes features; None to compute them here
    """

    models: Path
    cache: Path
    engine: str = "openvino"
    precision: str = "bf16"
    target: Path | None = None
    work: Path | None = None
    patient_digest: Callable[[str], bytes] | None = None
    scheduler: str | None = None
