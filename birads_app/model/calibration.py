"""Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017)."""

from dataclasses import dataclass

import numpy as np

# Parts of the cross-validation that decides about temperature scaling.
_FOLDS = 5
# A temperature outside of this range means that the validation set is too small.
_LOWEST, _HIGHEST = 0.2, 10.0


@dataclass(frozen=True)
class TemperatureFit:
    """A temperature, and the cross-validation that it was used after.

    temperature : divisor of the logits; 1 if scaling did not improve the likelihood of other patients
    before, after : negative log-likelihood of an image without and with scaling, in the cross-validation; None if there
        are too few patients for one
    """

    temperature: float
    before: float | None
    after: float | None

    @property
    def used(self) -> bool:
        """True if the logits are scaled."""
        return self.before is not None and self.after is not None and self.after < self.before


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

    allowed = _allowed(logits, labels)

    def loss(log_temperature: float) -> float:
        return float(_losses(logits, allowed, float(np.exp(log_temperature))).mean())

    found = minimize_scalar(loss, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def choose_temperature(logits: np.ndarray, labels: np.ndarray, patients: np.ndarray) -> TemperatureFit:
    """Fit the temperature, and use it if that improves the likelihood in a cross-validation by patient.

    Parameters
    ----------
    logits, labels : as in :func:`fit_temperature`
    patients : n patient IDs
    """
    allowed = _allowed(logits, labels)
    names, group = np.unique(patients, return_inverse=True)
    if len(names) < _FOLDS:
        return TemperatureFit(1.0, None, None)
    part = np.random.default_rng(0).permutation(len(names))[group] % _FOLDS
    scaled = np.empty(len(logits))
    for number in range(_FOLDS):
        held_out = part == number
        temperature = fit_temperature(logits[~held_out], allowed[~held_out])
        scaled[held_out] = _losses(logits[held_out], allowed[held_out], temperature)
    before, after = float(_losses(logits, allowed, 1.0).mean()), float(scaled.mean())
    return TemperatureFit(fit_temperature(logits, allowed) if after < before else 1.0, before, after)


def _allowed(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the classes that each image may belong to, bool (n, classes)."""
    labels = np.asarray(labels)
    return np.eye(logits.shape[1], dtype=bool)[labels] if labels.ndim == 1 else labels


def _losses(logits: np.ndarray, allowed: np.ndarray, temperature: float) -> np.ndarray:
    """Return the negative log-likelihood of each image, (n,)."""
    probability = (softmax(logits, temperature) * allowed).sum(axis=1)
    return np.asarray(-np.log(np.maximum(probability, 1e-12)))
