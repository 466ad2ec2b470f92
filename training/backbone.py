"""The Keras ResNet50 behind the features: where its weights come from, and how it is frozen."""

from pathlib import Path
from typing import Any

from birads_app.inference.errors import ModelError
from training.freeze import freeze

# Convolutions of ResNet50 up to conv4_block6_out, and of the whole network.
_CONV4_KERNELS, _KERNELS = 43, 53


def keras_resnet50(weights: str | Path | None = "imagenet", size: int | None = None) -> Any:
    """Build ResNet50 without its top.

    Parameters
    ----------
    weights : ``"imagenet"`` (Keras downloads them), the path of a Keras ``.h5`` file with the weights of the
        network without top, or None for random ones. A file that ends with stage conv4 will do: see
        :func:`_to_conv4`
    size : side of the square input in pixels; any where None

    Raises
    ------
    ModelError
        The weights are out of reach or do not fit ResNet50.
    """
    import keras

    if weights != "imagenet":
        model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(size, size, 3))
        return model if weights is None else _load(model, Path(weights))
    try:
        return keras.applications.ResNet50(include_top=False, weights="imagenet", input_shape=(size, size, 3))
    except Exception as error:  # Keras raises bare Exception when a download fails
        raise ModelError(
            "The ImageNet weights of ResNet50 could not be downloaded. Train on the shipped backbone "
            "(--backbone shipped), or give a file with --backbone-weights PATH."
        ) from error


def _load(model: Any, path: Path) -> Any:
    """The network with the weights of a file, cut after conv4 where the file ends there; or what is wrong."""
    if not path.is_file():
        raise ModelError(
            f"There is no weights file at {path}. Give the path of a Keras .h5 file of ResNet50."
        )
    try:
        kernels = _kernels(path)
        if kernels not in (_CONV4_KERNELS, _KERNELS):  # Keras passes over what it does not find
            raise ValueError
        partial = kernels == _CONV4_KERNELS
        low = _up_to_conv4(model) if partial else model
        low.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{path.name} does not hold the weights of Keras' ResNet50 without top. Give a file such as "
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5."
        ) from error
    return _to_conv4(low) if partial else model


def _kernels(path: Path) -> int:
    """Number of convolution kernels in a file of weights; raises OSError where it is no HDF5."""
    import h5py

    kernels: list[str] = []

    def count(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.ndim == 4:
            kernels.append(name)

    with h5py.File(path) as file:
        file.visititems(count)
    return len(kernels)


def _up_to_conv4(model: Any) -> Any:
    import keras

    return keras.Model(model.input, model.get_layer("conv4_block6_out").output)


def _to_conv4(low: Any) -> Any:
    """Maps of conv4 in the shape that whole networks have: (n, size/32, size/32, 2048).

    Each place holds the averages, then the maxima, of 2 x 2 places of conv4's 1024 channels, so that the
    average and the maximum over all places, which heads look at, stay what they were.
    """
    import keras

    pooled = [pool(2)(low.output) for pool in (keras.layers.AveragePooling2D, keras.layers.MaxPooling2D)]
    return keras.Model(low.input, keras.layers.Concatenate()(pooled))


def freeze_backbone(model: Any, size: int) -> bytes:
    """Freeze a Keras backbone: ``image`` (n, size, size, 3) -> maps (n, size/32, size/32, 2048)."""
    return freeze(lambda image: model(image, training=False), (None, size, size, 3), "image")
