"""Prediction for single mammograms, and the model that serves."""

import logging
import threading
from pathlib import Path

import numpy as np

from birads_app.compute.pool import ComputePool
from birads_app.compute.turns import Urgency
from birads_app.imaging import quality
from birads_app.imaging.decode import Mammogram
from birads_app.model import bundles, conformal, marks, occlusion, ood, preprocess, registry
from birads_app.model.bundles import Bundle
from birads_app.model.calibration import softmax
from birads_app.model.engine import Engine, open_engine
from birads_app.model.engine_process import EngineProcess
from birads_app.model.image_prediction import ImagePrediction
from birads_app.model.marks import Mark
from birads_app.model.preprocess import ModelInput
from birads_app.terms.errors import ModelError
from birads_app.terms.messages import Message

log = logging.getLogger(__name__)


class Predictor:
    """A loaded model."""

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.bundle = bundle
        self.engine = engine

    @classmethod
    def load(
        cls, bundle: Bundle, engine: str = "openvino", precision: str = "bf16", threads: int | None = None
    ) -> "Predictor":
        """Compile a verified bundle; parameters as in :func:`birads_app.model.engine.open_engine`."""
        return cls.warmed_up(bundle, open_engine(bundle, engine, precision, threads))

    @classmethod
    def warmed_up(cls, bundle: Bundle, engine: Engine) -> "Predictor":
        """Make a first prediction, which takes longest."""
        engine.predict(np.zeros((1, *bundle.size), np.uint8))
        return cls(bundle, engine)

    def at(self, urgency: Urgency) -> "Predictor":
        """Return the same model, whose calls have an urgency."""
        return Predictor(self.bundle, self.engine.at(urgency))

    def predict(self, mammogram: Mammogram) -> ImagePrediction:
        """Predict one image; raises NotAMammogram for unsuitable images."""
        return self.examine(mammogram, quality.check(mammogram))[0]

    def examine(
        self, mammogram: Mammogram, warnings: tuple[Message, ...] = ()
    ) -> tuple[ImagePrediction, ModelInput]:
        """Predict a suitable image; also return the model's input, from which :meth:`heat_maps` follow.

        Parameters
        ----------
        warnings : from :func:`birads_app.imaging.quality.check`, which needs no model
        """
        seen = preprocess.prepare(mammogram, self.bundle.size)
        return self.examine_input(seen, mammogram.notes + warnings), seen

    def examine_input(self, seen: ModelInput, warnings: tuple[Message, ...]) -> ImagePrediction:
        """As :meth:`examine`, for a prepared image; ``warnings`` include those about its file."""
        output = self.engine.predict(seen.grey[None])
        probabilities = softmax(output.logits[0] / self.bundle.temperature)
        classes = self.bundle.classes
        return ImagePrediction(
            category=classes[int(probabilities.argmax())],
            probabilities=dict(zip(classes, probabilities.tolist(), strict=True)),
            prediction_set=self._prediction_set(probabilities),
            warnings=warnings + self._ood_warning(output.averages),
            breast_share=_breast_share(seen),
            marks=self._marks(output.activation, seen),
        )

    def heat_maps(self, seen: ModelInput) -> dict[str, np.ndarray]:
        """Return the heat map of each category by occlusion.

        Returns
        -------
        by code, float32 array of shape (rows, columns) of :func:`birads_app.model.occlusion.places`: weight of evidence
        of each place, in log odds above the average one (:func:`birads_app.model.occlusion.weight_of_evidence`)
        """
        logits, cells = self.engine.occluded_logits(seen.grey, seen.breast_mask)
        weights = occlusion.weight_of_evidence(logits / self.bundle.temperature, cells)
        return dict(zip(self.bundle.classes, weights, strict=True))

    def _ood_warning(self, averages: np.ndarray) -> tuple[Message, ...]:
        """Return a warning for an out-of-distribution image; none if the bundle has no OOD detector."""
        known = self.bundle.ood_detector
        strange = known is not None and known.is_ood(averages)[0]
        return (ood.WARNING,) if strange else ()

    def _marks(self, activation: np.ndarray | None, seen: ModelInput) -> tuple[Mark, ...]:
        """Return the marks of one image; none if the backbone locates no findings."""
        location = self.bundle.location
        if location is None or activation is None:
            return ()
        inside = occlusion.breast_cells(seen.breast_mask, *activation.shape[1:])
        return marks.find(activation[0], inside, seen.box, seen.flipped, seen.shape, location.threshold)

    def _prediction_set(self, probabilities: np.ndarray) -> tuple[str, ...]:
        """Return the prediction set of one image; empty if the bundle has no threshold."""
        if self.bundle.threshold is None:
            return ()
        held = conformal.in_prediction_set(probabilities[None], self.bundle.threshold)[0]
        return tuple(code for code, inside in zip(self.bundle.classes, held, strict=True) if inside)


def _breast_share(seen: ModelInput) -> float:
    """Return the share of the image's area that the breast mask covers, 0..1."""
    height, width = seen.shape
    return min(1.0, float(seen.breast_mask.mean()) * seen.box.height * seen.box.width / (height * width))


class ModelSource:
    """Source of the model that serves, which follows promotions without a restart.

    While one thread loads a new model, other threads use the previous one.

    pool : for the engine's process; None or a pool without processes to compute in this one
    at_once : start that process with the model, and not with the first image
    """

    def __init__(
        self,
        models: Path,
        engine: str = "openvino",
        precision: str = "bf16",
        threads: int | None = None,
        pool: ComputePool | None = None,
        at_once: bool = True,
    ):
        self._models = models
        self._options = (engine, precision, threads)
        self._pool, self._at_once = pool, at_once
        self._lock = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._predictor: Predictor | None = None

    def get(self) -> Predictor:
        """Return the current predictor.

        Raises
        ------
        NoModel, BundleError
            No model was promoted, or it cannot be read and none was loaded before. If one is loaded, a damaged
            new model is logged and the loaded one remains.
        """
        seen, loaded = self._seen, self._predictor  # in this order: _follow sets the model first
        if loaded is not None and seen == self._state():
            return loaded
        if not self._lock.acquire(blocking=loaded is None):
            assert loaded is not None
            return loaded  # another thread is loading the new model, which takes seconds
        try:
            return self._follow()
        finally:
            self._lock.release()

    def _follow(self) -> Predictor:
        """Load the model named in CURRENT if it changed; one thread at a time."""
        state = self._state()
        if self._predictor is None or self._seen != state:
            self._predictor = self._load()
            self._seen = state
        return self._predictor

    def _load(self) -> Predictor:
        try:
            bundle = bundles.load(self._models / registry.current_name(self._models))
            if self._pool is None or not self._pool.processes:
                return Predictor.load(bundle, *self._options)
            engine = EngineProcess(self._pool, bundle, self._options)
            return Predictor.warmed_up(bundle, engine) if self._at_once else Predictor(bundle, engine)
        except ModelError as error:
            if self._predictor is None:
                raise
            log.error("Keeping model %s: %s", self._predictor.bundle.name, error)
            return self._predictor

    def _state(self) -> tuple[int, int] | None:
        """Identity of the CURRENT file; it changes with every promotion."""
        try:
            status = (self._models / registry.CURRENT).stat()
        except FileNotFoundError:
            return None
        return status.st_mtime_ns, status.st_ino
