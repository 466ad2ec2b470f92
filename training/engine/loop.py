"""The fit loop of all networks: epochs, with early stopping or not, and a checkpoint after each."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from training import progress
from training.engine import checkpoint
from training.engine.checkpoint import Curve
from training.engine.learning_curve import Epoch, mean


def run(
    title: str,
    state: Any,
    optimizer: Any,
    train_epoch: Callable[[int], Epoch],
    weights: Callable[[], list[np.ndarray]],
    *,
    epochs: int,
    patience: int | None,
    checkpoint_path: Path | None,
    validate_before: Callable[[], Epoch] | None = None,
) -> tuple[Curve, list[np.ndarray]]:
    """Train all epochs, or until the validation loss has not fallen for some, from the checkpoint if there is one.

    Parameters
    ----------
    title : of the task and of its learning curve
    state, optimizer : their ``variables``, which have to be built, are kept in the checkpoint
    train_epoch : trains the epoch with a number, counted from 0, and validates
    weights : returns copies of the weights to keep
    patience : epochs without a lower validation loss before it stops; None trains all, and the last one is to be kept
    checkpoint_path : file that is written after each epoch; None writes none
    validate_before : returns the first point of the curve, before any training; it has the number 0 then

    Returns
    -------
    The curve, and the weights of its best epoch.
    """
    curve, best = checkpoint.restore(checkpoint_path, state, optimizer) if checkpoint_path else ([], [])
    if not curve:
        curve, best = [validate_before()] if validate_before else [], weights()
    untrained = 1 if validate_before else 0
    with progress.steps(title, epochs, "epoch", done=len(curve) - untrained) as bar:
        while len(curve) - untrained < epochs and (patience is None or _waited(curve) < patience):
            curve.append(train_epoch(len(curve)))
            if best_epoch(curve) == len(curve) - 1:
                best = weights()
            if checkpoint_path:
                checkpoint.save(checkpoint_path, state, optimizer, curve, best)
            bar.step(curve=curve)
    return curve, best


def best_epoch(curve: Curve) -> int:
    """Return the index of the first epoch with the least validation loss; NaN counts as infinite."""
    return int(np.argmin(np.nan_to_num([epoch.validation_loss for epoch in curve], nan=np.inf)))


def _waited(curve: Curve) -> int:
    """Return the number of epochs since the best one."""
    return len(curve) - 1 - best_epoch(curve) if curve else 0


def training_step(
    forward: Callable[[Any], Any],
    variables: list[Any],
    optimizer: Any,
    losses: Callable[[Any, Any], Any],
    part: int,
) -> Callable[[np.ndarray, np.ndarray], tuple[float, np.ndarray]]:
    """Compile a training step, (inputs, targets) -> (mean loss, logits), and build the optimizer.

    Gradients of parts of a batch are summed before they are applied, so that a batch need not fit into memory. That is
    the same step, unless the forward function normalises over a batch.

    Parameters
    ----------
    forward : function from inputs to logits (n, outputs)
    variables : variables to train
    losses : function from (targets, float32 logits) to losses (n,)
    part : rows in memory at a time
    """
    import tensorflow as tf

    optimizer.build(variables)
    totals = [tf.Variable(tf.zeros(variable.shape), trainable=False) for variable in variables]

    @tf.function(reduce_retracing=True)
    def add(inputs: Any, targets: Any, share: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = tf.cast(forward(inputs), tf.float32)
            loss = share * tf.reduce_sum(losses(targets, logits))
        for total, gradient in zip(totals, tape.gradient(loss, variables), strict=True):
            total.assign_add(gradient)
        return loss, logits

    @tf.function
    def apply() -> None:
        gradients, _ = tf.clip_by_global_norm([total.read_value() for total in totals], 5.0)
        optimizer.apply_gradients(zip(gradients, variables, strict=True))
        for total in totals:
            total.assign(tf.zeros_like(total))

    def step(inputs: np.ndarray, targets: np.ndarray) -> tuple[float, np.ndarray]:
        share = tf.constant(1 / len(inputs), tf.float32)
        found = [
            add(inputs[start : start + part], targets[start : start + part], share)
            for start in range(0, len(inputs), part)
        ]
        apply()
        return sum(float(loss) for loss, _ in found), np.concatenate([logits for _, logits in found])

    return step


def run_epoch(
    step: Any,
    row_batches: list[np.ndarray],
    load: Callable[[np.ndarray], tuple[np.ndarray, Any]],
    label: str,
    accuracy_of: Callable[[np.ndarray, Any], float],
) -> tuple[float, float]:
    """Run one step per batch, and return the mean loss and accuracy.

    Parameters
    ----------
    load : returns inputs and targets of the rows of a batch
    accuracy_of : returns the accuracy of logits, float (n, outputs), given their targets
    """
    learned = []
    for rows in tqdm(row_batches, desc=f"epoch {label}", unit="batch", mininterval=5, disable=None):
        inputs, targets = load(rows)
        loss, logits = step(inputs.astype(np.float32), targets)
        learned.append((len(rows), float(loss), accuracy_of(np.asarray(logits), targets)))
    return mean(learned)


def weighted_sample(weights: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Sample image indices by weight, with replacement, int (count,)."""
    return rng.choice(len(weights), count, p=weights / weights.sum())


def batches(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield consecutive batches of at most ``size``."""
    for start in range(0, len(order), size):
        yield order[start : start + size]
