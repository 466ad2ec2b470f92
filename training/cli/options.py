"""Options of the training commands."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DATA = click.Path(exists=True, path_type=Path)
BUNDLE = click.Path(exists=True, file_okay=False, path_type=Path)
DATA_HELP = (
    "Folder with one subfolder of images per category, or a CSV file with the columns path and birads."
)
PATTERN_HELP = "Regular expression that finds the patient ID in a file's path below the data folder."

# The preset of the demonstration model, and the weights of its backbone.
DEMO = "demo"
# Values of --backbone-weights besides the path of a file.
WEIGHTS = (DEMO, "imagenet")
BACKBONE = click.option(
    "--backbone",
    type=click.Choice(["resnet50", "vgg16", "vgg19"]),
    default="resnet50",
    show_default=True,
    help="Network that extracts the features.",
)
BACKBONE_WEIGHTS = click.option(
    "--backbone-weights",
    default=DEMO,
    show_default=True,
    metavar="demo|imagenet|PATH",
    help="Weights of the backbone: those of the demonstration model (resnet50 only), Keras' ImageNet weights "
    "(downloaded), or a Keras .h5 file without top layers; for resnet50 it may end at conv4.",
)

SIZE = click.option(
    "--size",
    default="",
    metavar="PIXELS",
    help="Side of the backbone's input: 224, 320, 448 or 896, or height and width as 896x448. Default: the backbone's "
    "own, 224 for those of Keras. Small findings need more; the time grows with the area.",
)
# The names in training.heads, which is not imported before a command runs.
POOLINGS = ("avg+max", "avg", "gem", "attention")
POOLING = click.option(
    "--pooling",
    type=click.Choice(POOLINGS),
    default="avg+max",
    show_default=True,
    help="Pooling of the feature map: average and maximum of each channel, average alone as in the paper, generalised "
    "mean, or an average whose weights are learned.",
)
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
REASON = click.option("--reason", default="", help="Reason, for the audit log.")

# Options of flask train, by subject.
_NEW_MODEL = (
    click.option("--data", type=DATA, help=DATA_HELP),
    click.option(
        "--phantoms",
        type=click.IntRange(1, 10_000),
        metavar="PATIENTS",
        help="Instead of --data: train on synthetic mammograms of this many patients, as a first try.",
    ),
    click.option(
        "--name", required=True, help="Name of the new model: letters, digits, dots, hyphens and underscores."
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Continue the interrupted training of --name with its own settings.",
    ),
    click.option(
        "--preset",
        type=click.Choice([DEMO]),
        help="Train with a fixed configuration. demo: the demonstration model.",
    ),
    click.option(
        "--compare-with",
        type=BUNDLE,
        multiple=True,
        help="With --preset demo: folder of another such model to compare with on the model card.",
    ),
    click.option(
        "--promote/--no-promote",
        default=False,
        show_default=True,
        help="Put the new model into service at once.",
    ),
    REASON,
    click.option(
        "--progress",
        type=click.Path(dir_okay=False, path_type=Path),
        help="Write the progress to this JSON file.",
    ),
)
_MODEL = (
    BACKBONE,
    BACKBONE_WEIGHTS,
    SIZE,
    click.option(
        "--head",
        default="dense",
        show_default=True,
        metavar="|".join(HEADS),
        help="Classification head.",
    ),
    POOLING,
    click.option(
        "--loss",
        default="cross-entropy",
        show_default=True,
        metavar="cross-entropy|ordinal",
        help="Loss of dense, cnn-lstm and conv-transformer. ordinal penalises a prediction by its distance from "
        "the true category.",
    ),
    click.option(
        "--fine-tune",
        default=None,
        metavar="STAGE",
        help="Fine-tune the backbone from this stage on, after the head (dense, cnn-lstm and conv-transformer only): "
        "conv5 or conv4 of resnet50, block5 or block4 of vgg, or an earlier one.",
    ),
    click.option(
        "--seed", default=0, show_default=True, help="Random seed of split, resampling and weights."
    ),
    click.option(
        "--epochs",
        default=100,
        show_default=True,
        type=click.IntRange(min=1),
        help="Maximum; training stops early once the validation loss no longer improves.",
    ),
)
_PROTOCOL = (
    click.option(
        "--classes", default=None, help="Categories to train on, for example 1,3,4,5. Default: all found."
    ),
    click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
    click.option(
        "--test-share",
        default=0.2,
        show_default=True,
        type=click.FloatRange(0.05, 0.5),
        help="Share of the images in the test set.",
    ),
    click.option(
        "--resampling",
        type=click.Choice(["none", "smote-all", "smote-train"]),
        default="smote-train",
        show_default=True,
        help="Balance the categories by SMOTE: in the training set only, or before the split, which leaks.",
    ),
    click.option(
        "--split",
        type=click.Choice(["patient", "image"]),
        default="patient",
        show_default=True,
        help="Unit of the split. By image, one patient may be in both training and test set, which leaks.",
    ),
    click.option(
        "--folds",
        default=0,
        show_default=True,
        type=click.IntRange(min=0),
        help="Evaluate by cross-validation with this many folds; 0 holds out one test set.",
    ),
    click.option(
        "--sanity-checks/--no-sanity-checks",
        default=True,
        show_default=True,
        help="Also train on file metadata alone and on permuted labels, to detect shortcuts and leaks.",
    ),
    click.option(
        "--report-images/--no-report-images",
        default=True,
        show_default=True,
        help="Show test images in report.html.",
    ),
)

Command = Callable[..., Any]


def codes(listed: str | None) -> tuple[str, ...]:
    """Split the list that ``--classes`` takes."""
    return tuple(code.strip() for code in listed.split(",")) if listed else ()


def train(command: Command) -> Command:
    """Add the options of ``flask train``."""
    return _with(command, *_NEW_MODEL, *_MODEL, *_PROTOCOL)


def check(command: Command) -> Command:
    """Add the options of ``flask dataset check``."""
    return _with(
        command,
        click.argument("data", type=DATA),
        click.option("--classes", default=None, help="Categories to check. Default: all found."),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        click.option(
            "--smote-neighbours",
            default=5,
            show_default=True,
            type=click.IntRange(min=1),
            help="Report categories with too few images for this many SMOTE neighbours.",
        ),
        click.option(
            "--size",
            default="224",
            show_default=True,
            metavar="PIXELS",
            help="As for flask train, which then decodes no file again.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(dir_okay=False, path_type=Path),
            help="Also write the report to this JSON file.",
        ),
    )


def evaluation(command: Command) -> Command:
    """Add the options of ``flask evaluate``."""
    return _with(
        command,
        click.option("--model", metavar="NAME", help="Name of the model. Default: the one in service."),
        click.option("--data", type=DATA, required=True, help=DATA_HELP),
        click.option(
            "--classes", default=None, help="Categories to evaluate. Default: all that the model knows."
        ),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        click.option(
            "--out",
            default=None,
            type=click.Path(file_okay=False, path_type=Path),
            help="Write evaluation.html and evaluation.json to this folder.",
        ),
    )


def reproduction(command: Command) -> Command:
    """Add the options of ``flask reproduce``."""
    return _with(
        command,
        click.option("--data", required=True, type=DATA, help=DATA_HELP),
        click.option(
            "--heads", default="dense", show_default=True, help="Heads to train, for example dense,knn."
        ),
        click.option("--loss", default="cross-entropy", show_default=True, help="As for flask train."),
        click.option(
            "--classes", default=None, help="Categories to train on. Default: all with enough images."
        ),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        BACKBONE,
        BACKBONE_WEIGHTS,
        SIZE,
        POOLING,
        click.option("--seed", default=0, show_default=True, help="As for flask train."),
        click.option(
            "--epochs", default=100, show_default=True, type=click.IntRange(min=1), help="As for flask train."
        ),
        click.option(
            "--test-share",
            default=0.2,
            show_default=True,
            type=click.FloatRange(0.05, 0.5),
            help="As for flask train.",
        ),
        click.option(
            "--folds",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Cross-validate with this many folds, for narrower intervals; 0 holds out one test set, as the "
            "paper does.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(file_okay=False, path_type=Path),
            help="Write reproduction.html and reproduction.json to this folder.",
        ),
    )


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    """Apply decorators to a command, the first of them outermost."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def fit_ood(command: Command) -> Command:
    """Add the options of ``flask models fit-ood``."""
    return _with(
        command,
        click.argument("name"),
        click.option(
            "--data", type=DATA, required=True, help="Folder with the public data sets it was trained on."
        ),
    )


def comparison(command: Command) -> Command:
    """Add the options of ``flask models compare``."""
    return _with(
        command,
        click.argument("bundles", metavar="FOLDER...", nargs=-1, required=True, type=BUNDLE),
        click.option(
            "--data",
            type=DATA,
            required=True,
            help="Folder with the public data sets and the ImageNet weights.",
        ),
    )
