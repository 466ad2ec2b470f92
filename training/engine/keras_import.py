"""Import Keras without TensorFlow's start-up messages, which a user can do nothing about.

Some of them are printed before TensorFlow looks at ``TF_CPP_MIN_LOG_LEVEL``, straight to the file descriptor.
"""

import os
from typing import Any


def import_keras() -> Any:
    """Return the module ``keras``; errors of its import are still raised."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    stderr = os.dup(2)
    try:
        os.dup2(devnull, 2)
        import keras
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)
    return keras
