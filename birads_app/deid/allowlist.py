"""Allowlist of de-identification: elements that reading requires, and the terms that they may contain.

Only what is listed here is retained. Text is retained only if it is one of the standard's terms, so that a person's
name in an element that should contain a code is removed.
"""

import re

from birads_app.imaging.dicom.view_codes import MODIFIER_CODES, SPECIMEN_CODE, VIEW_CODES


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Elements by keyword, at any nesting level.
ALLOWED = _words("""
    SOPClassUID ReferencedSOPClassUID Modality ImageType PresentationIntentType ConversionType SeriesNumber
    InstanceNumber AcquisitionNumber PatientAge

    ViewPosition ViewCodeSequence ViewModifierCodeSequence ImageLaterality Laterality FrameLaterality
    PatientOrientation AnatomicRegionSequence BodyPartExamined OrganExposed BreastImplantPresent PartialView
    EstimatedRadiographicMagnificationFactor PositionerType PositionerPrimaryAngle PositionerSecondaryAngle
    CodeValue CodingSchemeDesignator CodeMeaning

    SamplesPerPixel PhotometricInterpretation PlanarConfiguration NumberOfFrames FrameIncrementPointer Rows
    Columns PixelAspectRatio BitsAllocated BitsStored HighBit PixelRepresentation PixelPaddingValue
    PixelPaddingRangeLimit QualityControlImage BurnedInAnnotation RecognizableVisualFeatures
    PixelSpacing ImagerPixelSpacing NominalScannedPixelSpacing
    PixelIntensityRelationship PixelIntensityRelationshipSign RescaleIntercept RescaleSlope RescaleType
    WindowCenter WindowWidth WindowCenterWidthExplanation VOILUTFunction ModalityLUTSequence ModalityLUTType
    VOILUTSequence LUTDescriptor LUTExplanation LUTData PresentationLUTShape LossyImageCompression
    LossyImageCompressionRatio LossyImageCompressionMethod

    SharedFunctionalGroupsSequence PerFrameFunctionalGroupsSequence FrameContentSequence PixelMeasuresSequence
    PixelValueTransformationSequence FrameVOILUTSequence FrameAnatomySequence XRay3DFrameTypeSequence FrameType
    PlanePositionSequence PlaneOrientationSequence ImagePositionPatient ImageOrientationPatient SliceThickness
    SpacingBetweenSlices DimensionIndexSequence DimensionIndexPointer FunctionalGroupPointer
    DimensionIndexValues InStackPositionNumber FrameAcquisitionNumber PixelPresentation VolumetricProperties
    VolumeBasedCalculationTechnique ContentQualification

    KVP ExposureTime XRayTubeCurrent Exposure ExposureInuAs RelativeXRayExposure AnodeTargetMaterial
    FilterMaterial FilterType Grid FocalSpots BodyPartThickness CompressionForce DistanceSourceToDetector
    DistanceSourceToPatient HalfValueLayer OrganDose EntranceDoseInmGy Sensitivity DetectorType
    DetectorConfiguration DetectorElementSpacing DetectorElementPhysicalSize DetectorActiveShape
    DetectorActiveDimensions DetectorPrimaryAngle DetectorSecondaryAngle DetectorBinning DetectorTemperature
    ExposureStatus ExposureControlMode FieldOfViewShape FieldOfViewDimensions FieldOfViewOrigin
    FieldOfViewRotation FieldOfViewHorizontalFlip CollimatorShape CollimatorLeftVerticalEdge
    CollimatorRightVerticalEdge CollimatorUpperHorizontalEdge CollimatorLowerHorizontalEdge SpatialResolution
    """)

# Dates that are shifted; all others are removed, or replaced by a dummy if the object requires one.
DATES = _words("StudyDate SeriesDate AcquisitionDate ContentDate AcquisitionDateTime")

# Elements that a mammogram must have, even if empty.
EMPTIED = _words("Manufacturer StudyTime SeriesTime ContentTime AcquisitionContextSequence")

# Allowed terms of the elements above, as complete values.
_TERMS = frozenset(
    term.strip()
    for term in """
    MG / CR / DX / RG / DF / FS / OT / SC / ORIGINAL / DERIVED / PRIMARY / SECONDARY / POST_PROCESSED /
    POST_CONTRAST / LEFT / RIGHT / BILATERAL / TOMO / TOMO_2D / TOMO_PROJ / TOMOSYNTHESIS / GENERATED_2D /
    VOLUME / NONE / MIXED / SUBTRACTION / LOW_ENERGY / RECOMBINED / FOR PRESENTATION / FOR PROCESSING / DV / DI /
    WSD / SD / SI / DRW / SYN / YES / NO / UNKNOWN / BREAST / L / R / B / U / A / P / H / F / AL / AR / PL /
    PR / FL / FR / HL / HR / AF / AH / PF / PH / AFL / AFR / AHL / AHR / PFL / PFR / PHL / PHR / FA / FP / HA / HP /
    CC / CCID / MLO / MLOID / ML / MLID / LM / LMID / LMO / LMOID / FB / SIO / ISO / XCCL / XCCM / XCC / CV / AT /
    MAMMOGRAPHIC / STEREO / COLUMN / CARM /
    MONOCHROME1 / MONOCHROME2 / RGB / PALETTE COLOR / YBR_FULL / YBR_FULL_422 / YBR_ICT / YBR_RCT /
    LIN / LOG / DISP / OTHER / US / HU / OD / US1 / UNSPECIFIED / LINEAR / LINEAR_EXACT / SIGMOID /
    IDENTITY / INVERSE / 00 / 01 / ISO_10918_1 / ISO_14495_1 / ISO_15444_1 / ISO_15444_15 / MONOCHROME / COLOR /
    DISTORTED / SAMPLED / MAX_IP / PRODUCT / RESEARCH / SERVICE / TUNGSTEN / MOLYBDENUM / RHODIUM / SILVER /
    ALUMINUM / COPPER / TITANIUM / STRIP / WEDGE / BUTTERFLY / MULTIPLE / FLAT / FIXED / FOCUSED / RECIPROCATING /
    PARALLEL / CROSSED / DIRECT / SCINTILLATOR / STORAGE / FILM / AREA / SLOT / RECTANGLE / RECTANGULAR / ROUND /
    CIRCULAR / POLYGONAL / HEXAGONAL / NORMAL / HARDER / SOFTER / ABORTED / MANUAL / AUTOMATIC /
    SRT / SNM3 / SCT / 99SDM
    """.replace("\n", " ").split("/")
) | {""}
_PATTERNS = {
    "AS": re.compile(r"(0[0-8]\d[YMWD]|\d{3}[MWD])?"),
    "DS": re.compile(r"[-+]?[\d.]*([eE][-+]?\d+)?"),
    "IS": re.compile(r"[-+]?\d*"),
    "UI": re.compile(r"(1\.2\.840\.10008\.[\d.]+)?"),
}
_TEXTS = _words("AE CS LO LT PN SH ST UC UR UT DA DT TM")
_NUMBERS = _words("US SS UL SL UV SV FL FD AT")

_MEANINGS = {
    value: code.meaning
    for code in (*VIEW_CODES, SPECIMEN_CODE, *MODIFIER_CODES)
    for value in (code.sct, code.srt)
} | {"76752008": "Breast", "T-04000": "Breast"}


def meaning(code: str) -> str | None:
    """Return the meaning of a code for a view, a view modifier or the breast; None for other codes."""
    return _MEANINGS.get(code)


def is_allowed(keyword: str, vr: str, value: object) -> bool:
    """Return True if one value of an allowed element contains nothing but what it should.

    Parameters
    ----------
    vr : value representation
    value : a single value, or the bytes of a table
    """
    if isinstance(value, bytes):
        return keyword == "LUTData"
    if vr in _NUMBERS or value is None:
        return True
    text = str(value).strip(" \0")
    if keyword == "CodeValue":
        return text in _MEANINGS
    if vr in _TEXTS:
        return text.upper() in _TERMS
    return vr in _PATTERNS and _PATTERNS[vr].fullmatch(text) is not None
