"""Options of the commands that take many, apart from what the commands do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

DATA = click.Path(exists=True, path_type=Path)
BUNDLE = click.Path(exists=True, file_okay=False, path_type=Path)
DATA_HELP = "Folder with one folder of images per category, or a CSV with path and birads."
PATTERN_HELP = "Regular expression that finds the patient in a file's path below the data."

# What --backbone-weights takes besides the path of a file.
WEIGHTS = ("shipped", "imagenet")
BACKBONE = click.option(
    "--backbone",
    type=click.Choice(["resnet50", "vgg16", "vgg19"]),
    default="resnet50",
    show_default=True,
    help="Network that makes the features.",
)
BACKBONE_WEIGHTS = click.option(
    "--backbone-weights",
    default="shipped",
    show_default=True,
    metavar="shipped|imagenet|PATH",
    help="Its weights: those of the shipped model (resnet50 only); Keras' for ImageNet, which are downloaded; or "
    "a Keras .h5 file without top, for resnet50 whole or up to conv4.",
)

# As training.heads has them, which is not imported before a command runs.
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
REASON = click.option("--reason", default="", help="Why; kept in the audit log.")

Command = Callable[..., Any]


def train(command: Command) -> Command:
    """Options of ``flask train``."""
    return _with(
        command,
        click.option("--data", type=DATA, help=DATA_HELP),
        click.option(
            "--phantoms",
            type=click.IntRange(1, 10_000),
            metavar="PATIENTS",
            help="In place of --data: learn from synthetic mammograms of so many patients, as a first try.",
        ),
        click.option("--name", required=True, help="Name of the new model: letters, digits, - and _."),
        click.option(
            "--resume",
            is_flag=True,
            help="Go on with the training of --name that was interrupted, with its own settings.",
        ),
        click.option(
            "--recipe",
            type=click.Choice(["head", "shipped"]),
            default="head",
            show_default=True,
            help="head: learn a head on fixed features. shipped: make the demonstration model, with its own knobs.",
        ),
        click.option(
            "--beside",
            type=BUNDLE,
            multiple=True,
            help="With --recipe shipped: the folder of another such model that the card compares with.",
        ),
        BACKBONE,
        BACKBONE_WEIGHTS,
        click.option(
            "--head",
            default="dense",
            show_default=True,
            metavar="|".join(HEADS),
            help="Kind of head to learn.",
        ),
        click.option(
            "--loss",
            default="cross-entropy",
            show_default=True,
            metavar="cross-entropy|ordinal",
            help="What dense, cnn-lstm and conv-transformer learn by: cross-entropy, or ordinal, which minds how far "
            "the named category lies from the true one.",
        ),
        click.option(
            "--fine-tune",
            default=None,
            metavar="STAGE",
            help="Then let the backbone learn on from this stage, with heads that are networks: conv5 or conv4 of "
            "resnet50, block5 or block4 of vgg, or an earlier one.",
        ),
        click.option(
            "--classes", default=None, help="Categories to learn, for example 1,3,4,5. Default: all found."
        ),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        click.option(
            "--seed", default=0, show_default=True, help="Split, resampling and weights follow from it."
        ),
        click.option(
            "--epochs",
            default=100,
            show_default=True,
            type=click.IntRange(min=1),
            help="At most; training stops earlier once the validation patients gain no more.",
        ),
        click.option(
            "--test-share",
            default=0.2,
            show_default=True,
            type=click.FloatRange(0.05, 0.5),
            help="Share of the images kept for the evaluation.",
        ),
        click.option(
            "--resampling",
            type=click.Choice(["none", "smote-all", "smote-train"]),
            default="smote-train",
            show_default=True,
            help="Balance the categories with synthetic rows: in the training part, or before the split, which leaks.",
        ),
        click.option(
            "--split",
            type=click.Choice(["patient", "image"]),
            default="patient",
            show_default=True,
            help="What stays on one side; images of one patient on both sides leak.",
        ),
        click.option(
            "--folds",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Measure by cross-validation in so many parts; 0 holds one part out.",
        ),
        click.option(
            "--sanity-checks/--no-sanity-checks",
            "--traps/--no-traps",
            "sanity_checks",
            default=True,
            show_default=True,
            help="Try file geometry alone and shuffled labels as well, which trains the head once more.",
        ),
        click.option(
            "--report-images/--no-report-images",
            "--images/--no-images",
            "report_images",
            default=True,
            show_default=True,
            help="Show test images in report.html.",
        ),
        click.option(
            "--promote/--no-promote",
            default=False,
            show_default=True,
            help="Let the new model serve at once.",
        ),
        click.option(
            "--progress",
            type=click.Path(dir_okay=False, path_type=Path),
            help="Keep this JSON file up to date about how far it is.",
        ),
    )


def check(command: Command) -> Command:
    """Options of ``flask dataset check``."""
    return _with(
        command,
        click.argument("data", type=DATA),
        click.option("--classes", default=None, help="Categories to look at. Default: all found."),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        click.option(
            "--smote-neighbours",
            default=5,
            show_default=True,
            type=click.IntRange(min=1),
            help="Categories with too few images for so many are named.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(dir_okay=False, path_type=Path),
            help="Report as a JSON file.",
        ),
    )


def reproduction(command: Command) -> Command:
    """Options of ``flask reproduce``."""
    return _with(
        command,
        click.option("--data", required=True, type=DATA, help=DATA_HELP),
        click.option(
            "--heads", default="dense", show_default=True, help="Kinds of heads, for example dense,knn."
        ),
        click.option("--loss", default="cross-entropy", show_default=True, help="As for flask train."),
        click.option("--classes", default=None, help="Categories to learn. Default: all with enough images."),
        click.option("--patient-pattern", default=None, metavar="REGEX", help=PATTERN_HELP),
        BACKBONE,
        BACKBONE_WEIGHTS,
        click.option("--seed", default=0, show_default=True),
        click.option("--epochs", default=100, show_default=True, type=click.IntRange(min=1)),
        click.option("--test-share", default=0.2, show_default=True, type=click.FloatRange(0.05, 0.5)),
        click.option(
            "--folds",
            default=0,
            show_default=True,
            type=click.IntRange(min=0),
            help="Cross-validation in so many parts, for narrower intervals; 0 is the paper's held-out part.",
        ),
        click.option(
            "--out",
            default=None,
            type=click.Path(file_okay=False, path_type=Path),
            help="Folder for reproduction.html and reproduction.json.",
        ),
    )


def _with(command: Command, *decorators: Callable[[Command], Command]) -> Command:
    """The command under its decorators, the first of them outermost."""
    for decorator in reversed(decorators):
        command = decorator(command)
    return command


def familiarity(command: Command) -> Command:
    """Options of ``flask models familiarity``."""
    return _with(
        command,
        click.argument("name"),
        click.option("--data", type=DATA, required=True, help="Folder with the public sets it learned from."),
    )


def comparison(command: Command) -> Command:
    """Options of ``flask models compare``."""
    return _with(
        command,
        click.argument("bundles", metavar="FOLDER...", nargs=-1, required=True, type=BUNDLE),
        click.option(
            "--data", type=DATA, required=True, help="Folder with the public sets and the ImageNet weights."
        ),
    )
