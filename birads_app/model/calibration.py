"""Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017)."""

import numpy as np

# A temperature outside of this range means that the validation set is too small.
_LOWEST, _HIGHEST = 0.2, 10.0


def softmax(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Return probabilities of shape (n, classes) for logits of shape (n, classes)."""
    scaled = np.asarray(logits, np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=-1, keepdims=True))


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """Fit the temperature with the least negative log-likelihood on held-out images.

    Parameters
    ----------
    logits : array of shape (n, classes), from images that the head was not trained on
    labels : int array of shape (n,) with the class's index, or bool array of shape (n, classes) that marks
        the set of classes each image may belong to

    Returns
    -------
    Temperature between 0.2 and 10; above 1 if the head is overconfident.
    """
    from scipy.optimize import minimize_scalar

    allowed = np.asarray(labels)
    if allowed.ndim == 1:
        allowed = np.eye(logits.shape[1], dtype=bool)[allowed]

    def loss(log_temperature: float) -> float:
        probability = (softmax(logits, float(np.exp(log_temperature))) * allowed).sum(axis=1)
        return float(-np.log(np.maximum(probability, 1e-12)).mean())

    found = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(found.x))
