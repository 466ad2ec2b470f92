"""The log: one format, on stderr, without anything about patients.

Exams are identified by their id. Names of uploaded files, and messages of libraries that quote values from them, are
not logged.
"""

import logging
import sys
import traceback
import warnings

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def configure_logging(level: str) -> None:
    """Send the log to stderr, unless the root logger already has a handler."""
    for quoting in ("pydicom", "PIL", "pynetdicom"):  # they quote values of elements and tags
        logging.getLogger(quoting).setLevel(logging.CRITICAL)
    for quoting in ("pydicom", "highdicom"):
        warnings.filterwarnings("ignore", module=quoting)
    for name in ("birads_app", "training"):
        logging.getLogger(name).setLevel(level)
    if not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(_FORMAT))
        logging.getLogger().addHandler(handler)


def where(error: BaseException) -> str:
    """Return an unexpected error's stack and type, without its message, which may quote an image's header."""
    lines = traceback.format_list(traceback.extract_tb(error.__traceback__))
    return "".join([*lines, type(error).__name__])
