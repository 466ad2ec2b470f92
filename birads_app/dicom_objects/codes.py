"""Coded concepts (PS3.16) shared by the DICOM objects."""

from collections.abc import Iterable

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

# CID 6027 Assessment from BI-RADS, which CID 6026 Mammography Assessment includes. The subdivisions of 4, and 6, have
# no SNOMED code there.
ASSESSMENTS = {
    "0": Code("397138000", "SCT", "0 - Incomplete - Need additional imaging evaluation +/- priors"),
    "1": Code("397140005", "SCT", "1 - Negative"),
    "2": Code("397141009", "SCT", "2 - Benign"),
    "3": Code("397143007", "SCT", "3 - Probably Benign"),
    "4": Code("397144001", "SCT", "4 - Suspicious"),
    "4A": Code("MA.II.A.5.4A", "BI", "4A - Low suspicion", "4.0"),
    "4B": Code("MA.II.A.5.4B", "BI", "4B - Intermediate suspicion", "4.0"),
    "4C": Code("MA.II.A.5.4C", "BI", "4C - Moderate suspicion", "4.0"),
    "5": Code("397145000", "SCT", "5 - Highly suggestive of malignancy"),
    "6": Code("MA.II.A.5.6", "BI", "6 - Known biopsy proven malignancy", "4.0"),
}

# CID 6000 Overall Breast Composition, by the letters of the BI-RADS atlas.
COMPOSITIONS = {
    "A": codes.SCT.AlmostEntirelyFat,
    "B": codes.SCT.ScatteredFibroglandularDensities,
    "C": codes.SCT.HeterogeneouslyDense,
    "D": codes.SCT.ExtremelyDense,
}

# CID 4014 View for Mammography
VIEWS = {
    "CC": codes.SCT.CranioCaudal,
    "MLO": codes.SCT.MedioLateralObliqueProjection,
    "ML": codes.SCT.MedioLateralProjection,
    "LM": codes.SCT.LateroMedial,
    "LMO": codes.SCT.LateroMedialOblique,
    "FB": codes.SCT.CaudoCranial,
    "SIO": codes.SCT.SuperolateralToInferomedialOblique,
    "ISO": codes.SCT.InferomedialToSuperolateralOblique,
    "XCCL": codes.SCT.CranioCaudalExaggeratedLaterally,
    "XCCM": codes.SCT.CranioCaudalExaggeratedMedially,
}

SIDES = {  # CID 244 Laterality
    "L": codes.SCT.Left,
    "R": codes.SCT.Right,
    "B": Code("51440002", "SCT", "Right and left"),
}
BREASTS = {  # CID 6022 Side
    "L": codes.SCT.LeftBreast,
    "R": codes.SCT.RightBreast,
    "B": codes.SCT.BothBreasts,
}
_PROCEDURES = {  # CID 6050 Breast Procedure Reported
    "L": codes.LN.BreastLeftMammogram,
    "R": codes.LN.BreastRightMammogram,
    "B": codes.LN.BreastBilateralMammogram,
}
QUALITATIVE_EVALUATIONS = Code("C0034375", "UMLS", "Qualitative Evaluations")


def extent(lateralities: Iterable[str | None]) -> str | None:
    """Return the breasts shown by a set of images: L, R or B for both; None if no side is known."""
    known = set(lateralities) - {None}
    return "B" if len(known) > 1 else next(iter(known), None)


def procedure(lateralities: Iterable[str | None]) -> Code:
    """Return the procedure code for images of the given sides."""
    shown = extent(lateralities)
    return _PROCEDURES[shown] if shown else codes.LN.BreastFfdMammogram
