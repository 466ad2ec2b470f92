"""The offline half: learning, evaluating and promoting models.

It builds on ``birads_app.inference`` and knows nothing of the web, the database or the settings. Importing
this package imports nothing heavy; TensorFlow's start-up chatter is switched off here, before anyone can
import it.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
