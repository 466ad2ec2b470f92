"""Keras backbones: building, loading of weights, and freezing.

All take the inputs of :mod:`birads_app.model.preprocess`: Keras prepares images for VGG as for ResNet50.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from birads_app.model.preprocess import InputSize
from birads_app.terms.errors import ModelError
from training.engine.freeze import freeze

# Pixels of the input for each cell of the whole network's map, in both directions; so many pixels at least and at most.
_STRIDE, _SMALLEST, _LARGEST = 32, 64, 2048
_SIZE = re.compile(r"([0-9]{2,4})(?:x([0-9]{2,4}))?")


@dataclass(frozen=True)
class BackboneKind:
    """A kind of backbone.

    title : name of its function in ``keras.applications``
    kernels : number of its convolutions
    stages : prefixes of its layers' names, in order
    """

    title: str
    kernels: int
    stages: tuple[str, ...]


_BLOCKS = tuple(f"block{number}" for number in range(1, 6))
BACKBONES = {
    "resnet50": BackboneKind("ResNet50", 53, tuple(f"conv{number}" for number in range(1, 6))),
    "vgg16": BackboneKind("VGG16", 13, _BLOCKS),
    "vgg19": BackboneKind("VGG19", 16, _BLOCKS),
}
# Number of convolutions of ResNet50 up to conv4_block6_out.
_CONV4_KERNELS = 43
CONV4_CHANNELS = 1024


def keras_backbone(
    network: str, weights: str | Path | None = "imagenet", size: InputSize | None = None
) -> Any:
    """Build a network without its top.

    Parameters
    ----------
    network : a key of :data:`BACKBONES`
    weights : ``"imagenet"`` (Keras downloads them), the path of a Keras ``.h5`` file with the weights of the
        network without top, or None for random ones. A file of ResNet50 may end with stage conv4; the network
        then ends there as well, with a cell for each 16 pixels and 1,024 channels
    size : of the input; None for any

    Raises
    ------
    ModelError
        There is no such network, or its weights are unavailable or do not fit.
    """
    import keras

    if network not in BACKBONES:
        raise ModelError(f"--backbone has to be one of {', '.join(BACKBONES)}. Got {network!r}.")
    definition = BACKBONES[network]
    make, options = (
        getattr(keras.applications, definition.title),
        {"input_shape": (*(size or (None, None)), 3)},
    )
    if weights != "imagenet":
        model = make(include_top=False, weights=None, **options)
        return model if weights is None else _load(model, definition, Path(weights))
    try:
        return make(include_top=False, weights="imagenet", **options)
    except Exception as error:  # Keras raises bare Exception when a download fails
        raise ModelError(
            f"The ImageNet weights of {definition.title} could not be downloaded. Give a file with --backbone-weights "
            "PATH, or use the demonstration model's backbone: --backbone resnet50 --backbone-weights demo."
        ) from error


def keras_resnet50(weights: str | Path | None = "imagenet", size: InputSize | None = None) -> Any:
    """Build ResNet50, the backbone of the demonstration model; see :func:`keras_backbone`."""
    return keras_backbone("resnet50", weights, size)


def _load(model: Any, network: BackboneKind, path: Path) -> Any:
    """Load the weights of a file; the network is cut after conv4 if the file ends there. Raise ModelError."""
    if not path.is_file():
        raise ModelError(
            f"There is no weights file at {path}. Give the path of a Keras .h5 file of {network.title}."
        )
    try:
        kernels = _kernels(path)
        partial = network.title == "ResNet50" and kernels == _CONV4_KERNELS
        if kernels != network.kernels and not partial:  # Keras skips layers that it does not find
            raise ValueError
        low = up_to_conv4(model) if partial else model
        low.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{path.name} does not contain the weights of Keras' {network.title} without the top layers. Give a file "
            f"such as {network.title.lower()}_weights_tf_dim_ordering_tf_kernels_notop.h5."
        ) from error
    return low


def ends_at_conv4(network: str, weights: str) -> bool:
    """Return True if the weights are those of a file of ResNet50 that ends with stage conv4."""
    path = Path(weights)
    return network == "resnet50" and path.is_file() and _kernels(path) == _CONV4_KERNELS


def _kernels(path: Path) -> int:
    """Count the convolution kernels in a weights file; raise OSError if it is no HDF5 file."""
    import h5py

    kernels: list[str] = []

    def count(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 4:
            kernels.append(name)

    with h5py.File(path) as file:
        file.visititems(count)
    return len(kernels)


def up_to_conv4(model: Any) -> Any:
    """Return ResNet50 without stage conv5."""
    import keras

    return keras.Model(model.input, model.get_layer("conv4_block6_out").output)


def freeze_backbone(model: Any, size: InputSize) -> bytes:
    """Freeze a Keras backbone, from ``image`` (n, height, width, 3) to maps (n, rows, columns, channels)."""
    return freeze(lambda image: model(image, training=False), (None, *size, 3), "image")


def parse_size(text: str) -> InputSize:
    """Read an input size, a side such as ``448`` or height and width such as ``896x448``.

    Raises
    ------
    ModelError
        It is none that a backbone takes.
    """
    found = _SIZE.fullmatch(text)
    sides = [int(side) for side in (found[1], found[2] or found[1])] if found else []
    if not sides or any(side % _STRIDE or not _SMALLEST <= side <= _LARGEST for side in sides):
        raise ModelError(
            f"--size has to be a side such as 448, or height and width such as 896x448, in multiples of {_STRIDE} from "
            f"{_SMALLEST} to {_LARGEST} pixels. Got {text!r}."
        )
    return InputSize(*sides)
