"""Loss functions of network heads, on labels and logits (n, classes).

Labels are indices of categories, int (n,), or sets of possible categories, bool (n, classes): the probability of a set
is the sum of those of its categories.
"""

from collections.abc import Sequence
from typing import Any

from training.config import CROSS_ENTROPY, FOCAL, ORDINAL
from training.errors import TrainingError

# Probabilities are kept this far from 1 in the focal loss, whose gradient would else be infinite at exponents below 1.
_LEAST = 1e-6
# Logit of a category that a label excludes.
_EXCLUDED = -1e9
ABOUT_SETS = "The probability of a label that is a set of possible categories is the sum of theirs."


def check_sets(loss: str) -> None:
    """Raise TrainingError if a loss needs one category for each image, so that labels cannot be sets."""
    if loss == ORDINAL:
        raise TrainingError(
            "--loss ordinal needs the category of each image, and some labels are sets of possible categories. Use "
            f"--loss {CROSS_ENTROPY} or {FOCAL}, or remove these rows of the table."
        )


def loss_of(
    loss: str, gamma: float = 2.0, weights: Sequence[float] = (), each: bool = False, sets: bool = False
) -> Any:
    """Return a Keras loss of labels and logits (n, classes): the mean, or one value per image.

    Parameters
    ----------
    loss : one of :data:`training.config.LOSSES`
    gamma : exponent of the focal loss
    weights : weight of each category, and the mean weight of a set; all 1 if empty
    each : one value per image; a function that returns these also serves Keras, which averages them
    sets : labels may be sets, bool (n, classes); the loss takes (n,) as well

    Raises
    ------
    TrainingError
        The loss does not take sets.
    """
    import keras

    if sets:
        check_sets(loss)
    if loss == CROSS_ENTROPY and not weights and not sets:
        return keras.losses.SparseCategoricalCrossentropy(
            from_logits=True, reduction=None if each else "sum_over_batch_size"
        )

    def losses(labels: Any, logits: Any) -> Any:
        if loss == ORDINAL:
            found = ranked_probability_score(labels, logits)
        else:
            found = focal(labels, logits, gamma if loss == FOCAL else 0.0)
        return found * _by_label(weights, labels, logits.shape[-1]) if weights else found

    return losses


def title(loss: str, gamma: float, weights: Sequence[float]) -> str:
    """Describe a loss in a few words."""
    exponent = f" with exponent {gamma:g}" if loss == FOCAL else ""
    listed = ", ".join(f"{weight:.3g}" for weight in weights)
    return f"the {loss} loss{exponent}" + (f" and the weights {listed} of the categories" if listed else "")


def focal(labels: Any, logits: Any, gamma: float) -> Any:
    """Focal loss: the cross-entropy, times the probability of all excluded categories to the power of ``gamma``.

    Images that are predicted well already count less (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017).

    Returns
    -------
    float tensor (n,), at least 0
    """
    from keras import ops

    excluded = 1 - allowed(labels, logits.shape[-1])
    logarithm = ops.logsumexp(ops.log_softmax(logits) + _EXCLUDED * excluded, axis=-1)
    if not gamma:
        return -logarithm
    return -ops.power(ops.maximum(1 - ops.exp(logarithm), _LEAST), gamma) * logarithm


def ranked_probability_score(labels: Any, logits: Any) -> Any:
    """Ordinal loss: squared distances between the cumulative probabilities and the cumulative truth.

    A prediction costs more the further it is from the truth in the order of the categories, and the expected loss is
    least at the true probabilities (Epstein, A Scoring System for Probability Forecasts of
    Ranked Categories, J. Appl. Meteorology 8, 1969). On a softmax it is the squared earth mover's distance
    of Hou, Yu and Samaras (Squared Earth Mover's Distance-based Loss for Training Deep Neural Networks,
    arXiv:1611.05916, 2016).

    Parameters
    ----------
    labels : int tensor (n,) or (n, 1)
    logits : float tensor (n, classes), in the order of the categories

    Returns
    -------
    float tensor (n,), 0 to classes - 1
    """
    from keras import ops

    classes = logits.shape[-1]
    predicted = ops.cumsum(ops.softmax(logits), axis=-1)
    truth = ops.cumsum(allowed(labels, classes), axis=-1)
    return ops.sum(ops.square(predicted - truth), axis=-1)


def allowed(labels: Any, classes: int) -> Any:
    """Return 1 for each category that a label allows, and 0 for others, float tensor (n, classes).

    Parameters
    ----------
    labels : int (n,) or (n, 1), or bool or float (n, classes)
    """
    from keras import ops

    if len(labels.shape) == 2 and labels.shape[1] == classes > 1:
        return ops.cast(labels, "float32")
    return ops.one_hot(ops.reshape(ops.cast(labels, "int32"), (-1,)), classes)


def set_accuracy(labels: Any, logits: Any) -> Any:
    """Return 1 for each image whose most probable category is allowed, else 0, float tensor (n,)."""
    from keras import ops

    classes = logits.shape[-1]
    return ops.sum(allowed(labels, classes) * ops.one_hot(ops.argmax(logits, axis=-1), classes), axis=-1)


def _by_label(weights: Sequence[float], labels: Any, classes: int) -> Any:
    """Return the weight of each image, float tensor (n,)."""
    from keras import ops

    among = allowed(labels, classes)
    return ops.sum(among * ops.convert_to_tensor(list(weights), "float32"), axis=-1) / ops.sum(among, axis=-1)
