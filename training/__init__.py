"""The offline half of the product: training and evaluation of models.

It builds on ``birads_app.model`` and ``birads_app.imaging`` and does not depend on the web, the database or the
settings. Importing this package imports nothing heavy. TensorFlow's start-up messages are switched off here,
before any module can import it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
