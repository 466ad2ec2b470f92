"""Keras networks: building, fitting, checkpoints and freezing."""
