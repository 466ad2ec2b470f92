"""Import Keras without TensorFlow's start-up chatter, which says nothing a user could act upon.

Some of it is printed before TensorFlow looks at ``TF_CPP_MIN_LOG_LEVEL``, straight to the file descriptor.
"""

import os
from typing import Any


def import_keras() -> Any:
    """The module ``keras``; what goes wrong while importing it is still raised."""
    chatter = os.open(os.devnull, os.O_WRONLY)
    stderr = os.dup(2)
    try:
        os.dup2(chatter, 2)
        import keras
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(chatter)
    return keras
