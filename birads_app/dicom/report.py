"""The model's answer as a Measurement Report (PS3.16 TID 1500), in the study of the images it speaks of."""

import highdicom.sr as sr
from pydicom.sr.codedict import codes

from birads_app.dicom.codes import (
    ASSESSMENTS,
    QUALITATIVE_EVALUATIONS,
    SIDES,
    VIEWS,
    procedure,
)
from birads_app.dicom.study import (
    PRODUCT,
    Model,
    Reading,
    SourceImage,
    equipment,
    make_uid,
    references,
    stamp,
)
from birads_app.inference.categories import DISCLAIMER
from birads_app.inference.prediction_set import LEVEL

SERIES_NUMBER, SERIES_DESCRIPTION = 9001, "BI-RADS reader: model's report"
DEMONSTRATION = "The model is a demonstration: it shows how the product works and reads no better than that."

_CONTAINS = sr.RelationshipTypeValues.CONTAINS


def measurement_report(reading: Reading) -> sr.ComprehensiveSR:
    """Write the model's answer for every image; the same reading gives the same object.

    Each image has a measurement group: the model as the algorithm, the category as a code, and the probability
    of every category as a number from 0 to 1.
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
    stamp(report, reading.at)
    return report


def comment(text: str) -> sr.TextContentItem:
    """A sentence as a content item."""
    return sr.TextContentItem(name=codes.DCM.Comment, value=text, relationship_type=_CONTAINS)


def _content(reading: Reading) -> sr.MeasurementReport:
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=_device(reading.model)),
        procedure_reported=procedure(image.laterality for image in reading.images),
        imaging_measurements=[
            _group(reading, number, image) for number, image in enumerate(reading.images, start=1)
        ],
    )
    content[0].ContentSequence.append(_remarks(reading.model))
    return content


def _device(model: Model) -> sr.ObserverContext:
    """The observer is this product and nobody else."""
    attributes = sr.DeviceObserverIdentifyingAttributes(
        uid=make_uid("device", model.software, model.name, model.version),
        name=PRODUCT,
        manufacturer_name=PRODUCT,
        model_name=model.name,
    )
    return sr.ObserverContext(observer_type=codes.DCM.Device, observer_identifying_attributes=attributes)


def _group(reading: Reading, number: int, image: SourceImage) -> sr.MeasurementsAndQualitativeEvaluations:
    """What the model says about one image (TID 1501)."""
    evaluations = [sr.QualitativeEvaluation(codes.DCM.AssessmentCategory, ASSESSMENTS[image.category])]
    if image.view in VIEWS:
        evaluations.append(sr.QualitativeEvaluation(codes.DCM.ImageView, VIEWS[image.view]))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=reading.uid("tracking", image.sop_instance), identifier=f"Image {number}"
        ),
        algorithm_id=sr.AlgorithmIdentification(
            name=reading.model.name, version=reading.model.version, manufacturer=PRODUCT
        ),
        finding_sites=[sr.FindingSite(codes.SCT.Breast, laterality=SIDES.get(image.laterality or ""))],
        measurements=[_probability(code, value) for code, value in image.probabilities.items()],
        qualitative_evaluations=evaluations,
        source_images=[sr.SourceImageForMeasurementGroup(image.sop_class, image.sop_instance)],
    )
    group[0].ContentSequence.extend(comment(text) for text in _comments(image))
    return group


def _probability(code: str, value: float) -> sr.Measurement:
    """How probable a category is: a number whose modifier names the category."""
    measurement = sr.Measurement(name=codes.DCM.Probability, value=float(value), unit=codes.UCUM.NoUnits)
    category = sr.CodeContentItem(
        name=codes.DCM.AssessmentCategory,
        value=ASSESSMENTS[code],
        relationship_type=sr.RelationshipTypeValues.HAS_CONCEPT_MOD,
    )
    measurement[0].ContentSequence = sr.ContentSequence([category])
    return measurement


def _comments(image: SourceImage) -> list[str]:
    held = f"Possible categories with {LEVEL:.0%} confidence: {', '.join(image.possible)}."
    return [*([held] if image.possible else []), *(f"Warning: {text}" for text in image.warnings)]


def _remarks(model: Model) -> sr.ContainerContentItem:
    """What the output is not, where every reader of the document meets it."""
    texts = [DISCLAIMER, *([DEMONSTRATION] if model.demonstration else [])]
    container = sr.ContainerContentItem(name=QUALITATIVE_EVALUATIONS, relationship_type=_CONTAINS)
    container.ContentSequence = sr.ContentSequence([comment(text) for text in texts])
    return container
