"""Straightforward implementation with pydicom, Pillow and Keras, as a baseline."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from birads_app.model.preprocess import InputSize
from training.engine.backbone import keras_backbone, up_to_conv4

HIDDEN = (128, 256, 128)  # layer widths of the dense head


def backbone(size: InputSize, graph: bytes) -> Any:
    """Return ResNet50 up to the last stage of a frozen backbone, with random weights, which do not affect the time."""
    whole = keras_backbone("resnet50", None, size)
    return whole if b"conv5_" in graph else up_to_conv4(whole)


def classifier(features: Any, classes: int) -> Any:
    """Return the backbone followed by average and maximum pooling and the dense head."""
    import keras
    from keras import layers

    maps = features.output
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(maps), layers.GlobalMaxPooling2D()(maps)])
    for units in HIDDEN:
        x = layers.BatchNormalization()(layers.Dense(units, "relu")(x))
    return keras.Model(features.input, layers.Dense(classes, "softmax")(x))


def reader(model: Any, size: InputSize) -> Callable[[bytes], np.ndarray]:
    """Return a function from the bytes of a DICOM file to its probabilities."""
    from keras.applications.vgg16 import preprocess_input

    def read(data: bytes) -> np.ndarray:
        dataset = pydicom.dcmread(BytesIO(data))
        pixels = pixel_array(dataset, decoding_plugin="pydicom")
        pixels = apply_voi_lut(apply_modality_lut(pixels, dataset), dataset).astype(np.float32)
        grey = (pixels - pixels.min()) / max(float(pixels.max() - pixels.min()), 1.0) * 255
        small = Image.fromarray(grey.astype(np.uint8)).resize(size[::-1]).convert("RGB")
        inputs = preprocess_input(np.asarray(small, np.float32)[None])
        return np.asarray(model.predict(inputs, verbose=0)[0])

    return read
