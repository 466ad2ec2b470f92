"""Predictions as a Measurement Report (PS3.16 TID 1500) in the study of the source images."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import highdicom.sr as sr
import numpy as np
from pydicom.sr.codedict import codes

from birads_app.dicom_objects.codes import (
    ASSESSMENTS,
    BREASTS,
    QUALITATIVE_EVALUATIONS,
    SIDES,
    VIEWS,
    extent,
    procedure,
)
from birads_app.dicom_objects.context import (
    PRODUCT,
    Model,
    Reading,
    SourceImage,
    equipment,
    make_uid,
    references,
    stamp,
)
from birads_app.model.aggregation import BreastPrediction, ExamPrediction
from birads_app.model.conformal import LEVEL
from birads_app.model.marks import Mark
from birads_app.terms.categories import DISCLAIMER

SERIES_NUMBER, SERIES_DESCRIPTION = 9001, "BI-RADS reader: model's report"
DEMONSTRATION = "The model is a demonstration: it shows how the product works and reads no better than that."

_CONTAINS = sr.RelationshipTypeValues.CONTAINS


def measurement_report(reading: Reading) -> sr.ComprehensiveSR:
    """Create the report on exam, breasts and images; the same reading gives the same object.

    Each of them has a measurement group with its source images, the model as algorithm, the category as a code and,
    except for the exam, the probability of every category as a number from 0 to 1. The model's marks follow, each a
    group with its region in the image and its score in percent.
    """
    report = sr.ComprehensiveSR(
        evidence=references(reading),
        content=_content(reading),
        series_instance_uid=reading.uid("report series"),
        series_number=SERIES_NUMBER,
        series_description=SERIES_DESCRIPTION,
        sop_instance_uid=reading.uid("report"),
        instance_number=1,
        is_complete=True,
        **equipment(reading.model),
    )
    stamp(report, reading.at, reading.study)
    return report


def comment(text: str) -> sr.TextContentItem:
    """Build a comment as a content item."""
    return sr.TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=_CONTAINS)


def _content(reading: Reading) -> sr.MeasurementReport:
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_device(reading.model)),
        procedure_reported=procedure(image.laterality for image in reading.images),
        imaging_measurements=[*(_group(reading, part) for part in _parts(reading)), *_mark_groups(reading)],
    )
    content[0].ContentSequence.append(_remarks(reading.model))
    return content


def _device(model: Model) -> sr.ObserverContext:
    """Build the observer, which is this product."""
    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=make_uid("device", model.software, model.name, model.version),
        name=PRODUCT,
        manufacturer_name=PRODUCT,
        model_name=model.name,
    )
    return sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=attributes)


@dataclass(frozen=True)
class _ReportSubject:
    """Prediction for an image, a breast or the exam, the subject of one measurement group.

    name : readable name of the subject
    key : identifies the subject within the reading
    side : L, R or B for both; None if unknown
    view : of an image; None if unknown
    """

    name: str
    key: tuple[str, ...]
    side: str | None
    images: Sequence[SourceImage]
    category: str
    comments: Sequence[str]
    probabilities: Mapping[str, float] = field(default_factory=dict)
    view: str | None = None


def _parts(reading: Reading) -> Iterator[_ReportSubject]:
    """Yield the exam, its breasts and its images."""
    if reading.aggregate is not None:
        yield _exam(reading, reading.aggregate)
        yield from (_breast(reading, breast) for breast in reading.aggregate.breasts)
    for number, image in enumerate(reading.images, start=1):
        yield _ReportSubject(
            f"Image {number}",
            (image.sop_instance,),
            image.laterality,
            [image],
            image.prediction.category,
            _comments(image),
            image.prediction.probabilities,
            image.view,
        )


def _exam(reading: Reading, aggregate: ExamPrediction) -> _ReportSubject:
    """Build the exam's subject, which has a category but no probabilities."""
    read = sum(len(breast.views) for breast in aggregate.breasts) + aggregate.left_out
    comments = [
        *(["The category of the more suspicious breast."] if len(aggregate.breasts) > 1 else []),
        *(f"There is no standard view of the {BREASTS[side].meaning.lower()}." for side in aggregate.absent),
        *(
            [f"Images that take no part, as they are not known to be standard views: {aggregate.left_out}."]
            if aggregate.left_out
            else []
        ),
        *_elsewhere(read - len(reading.images)),
    ]
    side = extent(breast.laterality for breast in aggregate.breasts)
    return _ReportSubject("Exam", ("exam",), side, reading.images, aggregate.category, comments)


def _breast(reading: Reading, breast: BreastPrediction) -> _ReportSubject:
    images = [image for image in reading.images if image.standard and image.laterality == breast.laterality]
    comments = [
        f"Pooled from its views: {', '.join(view or 'unknown' for view in breast.views)}.",
        *([f"Missing standard views: {', '.join(breast.missing)}."] if breast.missing else []),
        *_elsewhere(len(breast.views) - len(images)),
    ]
    side = breast.laterality
    name = BREASTS[side].meaning if side else "Breast of unknown side"
    return _ReportSubject(
        name, ("breast", side or ""), side, images, breast.category, comments, breast.probabilities
    )


def _elsewhere(count: int) -> list[str]:
    """Return a comment if a prediction also uses pictures uploaded beside the study's images."""
    return [f"It also stands on images that are not in this study: {count}."] if count else []


def _group(reading: Reading, part: _ReportSubject) -> sr.MeasurementsAndQualitativeEvaluations:
    """Build the measurement group of one subject (TID 1501)."""
    evaluations = [sr.QualitativeEvaluation(codes.DCM.AssessmentCategory, ASSESSMENTS[part.category])]
    if part.view in VIEWS:
        evaluations.append(sr.QualitativeEvaluation(codes.DCM.ImageView, VIEWS[part.view]))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=reading.uid("tracking", *part.key), identifier=part.name
        ),
        algorithm_id=_algorithm(reading.model),
        finding_sites=[_site(part.side)],
        measurements=[_probability(code, value) for code, value in part.probabilities.items()],
        qualitative_evaluations=evaluations,
        source_images=[
            sr.SourceImageForMeasurementGroup(image.sop_class, image.sop_instance) for image in part.images
        ],
    )
    group[0].ContentSequence.extend(comment(text) for text in part.comments)
    return group


def _mark_groups(reading: Reading) -> Iterator[sr.PlanarROIMeasurementsAndQualitativeEvaluations]:
    """Yield the measurement group of each mark of each image (TID 1410)."""
    for number, image in enumerate(reading.images, start=1):
        for place, mark in enumerate(image.prediction.marks, start=1):
            yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
                tracking_identifier=sr.TrackingIdentifier(
                    uid=reading.uid("tracking", image.sop_instance, "mark", str(place)),
                    identifier=f"Image {number}, mark {place}",
                ),
                referenced_region=_region(image, mark),
                finding_type=codes.DCM.SelectedRegion,
                algorithm_id=_algorithm(reading.model),
                finding_sites=[_site(image.laterality)],
                measurements=[
                    sr.Measurement(
                        name=codes.DCM.CertaintyOfFinding, value=100 * mark.score, unit=codes.UCUM.Percent
                    )
                ],
            )


def _region(image: SourceImage, mark: Mark) -> sr.ImageRegion:
    """Build a mark's ellipse, as far as it lies in the image.

    Coordinates are (column, row) from the upper left corner of the upper left pixel, which is 0, 0 (PS3.3 C.18.6.1.2).
    """
    (left, right), (top, bottom) = (
        (size * max(0.0, centre - length / 2), size * min(1.0, centre + length / 2))
        for centre, length, size in ((mark.x, mark.width, image.columns), (mark.y, mark.height, image.rows))
    )
    across = [(left, (top + bottom) / 2), (right, (top + bottom) / 2)]
    down = [((left + right) / 2, top), ((left + right) / 2, bottom)]
    axes = across + down if right - left >= bottom - top else down + across  # the major axis first
    return sr.ImageRegion(
        graphic_type=sr.GraphicTypeValues.ELLIPSE,
        graphic_data=np.array(axes),
        source_image=sr.SourceImageForRegion(image.sop_class, image.sop_instance),
    )


def _algorithm(model: Model) -> sr.AlgorithmIdentification:
    return sr.AlgorithmIdentification(name=model.name, version=model.version, manufacturer=PRODUCT)


def _site(side: str | None) -> sr.FindingSite:
    """Build the breast as finding site; ``side`` is L, R or B for both, None if unknown."""
    return sr.FindingSite(codes.SCT.Breast, laterality=SIDES.get(side or ""))


def _probability(code: str, value: float) -> sr.Measurement:
    """Build the measurement of a category's probability, with the category as modifier."""
    measurement = sr.Measurement(name=codes.DCM.Probability, value=float(value), unit=codes.UCUM.NoUnits)
    category = sr.CodeContentItem(
        name=codes.DCM.AssessmentCategory,
        value=ASSESSMENTS[code],
        relationship_type=sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    measurement[0].ContentSequence = sr.ContentSequence([category])
    return measurement


def _comments(image: SourceImage) -> list[str]:
    prediction = image.prediction
    prediction_set = (
        f"Possible categories with {LEVEL:.0%} confidence: {', '.join(prediction.prediction_set)}."
    )
    apart = [] if image.standard else ["It takes no part in the breast's prediction."]
    return [
        *([prediction_set] if prediction.prediction_set else []),
        *apart,
        *(f"Warning: {text}" for text in prediction.warnings),
    ]


def _remarks(model: Model) -> sr.ContainerContentItem:
    """Build the disclaimer, in a container that every viewer of the document shows."""
    texts = [DISCLAIMER, *([DEMONSTRATION] if model.demonstration else [])]
    container = sr.ContainerContentItem(name=QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence([comment(text) for text in texts])
    return container
