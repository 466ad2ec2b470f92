"""Import Keras without TensorFlow's start-up messages, which a user can do nothing about.

Some of them are printed before TensorFlow looks at ``TF_CPP_MIN_LOG_LEVEL``, straight to the file descriptor.
"""

import os
from contextlib import suppress
from typing import Any


def import_keras() -> Any:
    """Return the module ``keras``; errors of its import are still raised."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    stderr = os.dup(2)
    try:
        os.dup2(devnull, 2)
        import keras

        _let_gpu_memory_grow()
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
    return keras


def _let_gpu_memory_grow() -> None:
    """Let TensorFlow take the memory of a GPU as it needs it, instead of all at once."""
    import tensorflow as tf

    for device in tf.config.list_physical_devices("GPU"):
        with suppress(RuntimeError):  # in use already
            tf.config.experimental.set_memory_growth(device, True)
