"""The Keras ResNet50 behind the features: where its weights come from, and how it is frozen."""

from pathlib import Path
from typing import Any

from birads_app.inference.errors import ModelError
from training.freeze import freeze


def keras_resnet50(weights: str | Path | None = "imagenet", size: int | None = None) -> Any:
    """Build ResNet50 without its top.

    Parameters
    ----------
    weights : ``"imagenet"`` (Keras downloads them), the path of a Keras ``.h5`` file with the weights of the
        whole network without top, or None for random ones
    size : side of the square input in pixels; any where None

    Raises
    ------
    ModelError
        The weights are out of reach or do not fit ResNet50.
    """
    import keras

    if weights != "imagenet":
        model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(size, size, 3))
        if weights is not None:
            _load(model, Path(weights))
        return model
    try:
        return keras.applications.ResNet50(include_top=False, weights="imagenet", input_shape=(size, size, 3))
    except Exception as error:  # Keras raises bare Exception when a download fails
        raise ModelError(
            "The ImageNet weights of ResNet50 could not be downloaded. Train on the shipped backbone "
            "(--backbone shipped), or give a file with --backbone-weights PATH."
        ) from error


def _load(model: Any, path: Path) -> None:
    """Load the weights file, or say what is wrong with it."""
    if not path.is_file():
        raise ModelError(
            f"There is no weights file at {path}. Give the path of a Keras .h5 file of ResNet50."
        )
    try:
        model.load_weights(str(path))
    except (ValueError, OSError, KeyError) as error:
        raise ModelError(
            f"{path.name} does not hold the weights of Keras' ResNet50 without top. Give a file such as "
            "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5."
        ) from error


def freeze_backbone(model: Any, size: int) -> bytes:
    """Freeze a Keras backbone: ``image`` (n, size, size, 3) -> maps (n, size/32, size/32, 2048)."""
    return freeze(lambda image: model(image, training=False), (None, size, size, 3), "image")
