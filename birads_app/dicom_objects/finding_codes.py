"""Findings of the lexicon in DICOM codes (PS3.16): type, location in the breast, size and descriptors."""

from dataclasses import dataclass

from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from birads_app.records.findings import Finding

_SCT = codes.SCT
# CID 6054 Breast Imaging Findings, by type of finding.
KINDS = {
    "mass": _SCT.MammographicBreastMass,
    "calcifications": _SCT.CalcificationOfBreast,
    "distortion": _SCT.ArchitecturalDistortionOfBreast,
    "asymmetry": _SCT.AsymmetricBreastTissue,
    "lymph-node": _SCT.IntramammaryLymphNode,
    "skin-lesion": _SCT.SkinLesion,
    "dilated-duct": _SCT.TubularDensity,
}
_FOCAL = codes.CID6054.FocalAsymmetricBreastTissue
# CID 6020 Quadrant Location.
QUADRANTS = {
    "upper-outer": codes.CID6020.UpperOuterQuadrantOfBreast,
    "upper-inner": codes.CID6020.UpperInnerQuadrantOfBreast,
    "lower-outer": codes.CID6020.LowerOuterQuadrantOfBreast,
    "lower-inner": codes.CID6020.LowerInnerQuadrantOfBreast,
}
# CID 6018 Clockface Location or Region: regions and hours.
REGIONS = {
    "central": codes.CID6018.CentralRegionOfBreast,
    "subareolar": codes.CID6018.SubareolarRegion,
    "axillary-tail": codes.CID6018.AxillaryTailRegion,
}
HOURS = {hour: getattr(codes.CID6018, f"_{hour}OClockPosition") for hour in range(1, 13)}
# CID 6024 Depth from Nipple.
DEPTHS = {
    "anterior": codes.CID6024.Anterior,
    "middle": codes.CID6024.Middle,
    "posterior": codes.CID6024.Posterior,
}
# Concept and values of each descriptor: CID 6004, 6006, 6009, 6010 and 6012.
DESCRIPTORS = {
    "shape": (
        _SCT.Shape,
        {
            "oval": codes.CID6004.OvoidShapeOval,
            "round": codes.CID6004.RoundShape,
            "irregular": codes.CID6004.Irregular,
        },
    ),
    "margin": (
        codes.DCM.Margins,
        {
            "circumscribed": codes.CID6006.CircumscribedLesion,
            "obscured": codes.CID6006.ObscuredLesion,
            "microlobulated": codes.CID6006.MicrolobulatedLesion,
            "indistinct": codes.CID6006.IndistinctLesion,
            "spiculated": codes.CID6006.SpiculatedLesion,
        },
    ),
    "density": (
        codes.DCM.LesionDensity,
        {
            "high": codes.CID6009.HighDensityLesion,
            "equal": codes.CID6009.EqualDensityIsodenseLesion,
            "low": codes.CID6009.LowDensityNotContainingFatLesion,
            "fat": codes.CID6009.FatContainingRadiolucentLesion,
        },
    ),
    "morphology": (
        codes.DCM.CalcificationType,
        {
            "skin": codes.CID6010.CalcifiedSkinOfBreast,
            "vascular": codes.CID6010.VascularCalcificationRadiographicFinding,
            "coarse": codes.CID6010.CoarsePopcornLikeCalcification,
            "rod": codes.CID6010.LargeRodLikeCalcification,
            "round": codes.CID6010.RoundShapedCalcification,
            "rim": codes.CID6010.EggshellCalcification,
            "dystrophic": codes.CID6010.DystrophicCalcification,
            "milk": codes.CID6010.MilkOfCalciumCalcification,
            "suture": codes.CID6010.CalcifiedSutureMaterial,
            "amorphous": codes.CID6010.AmorphousCalcification,
            "coarse-heterogeneous": codes.CID6010.HeterogeneousCalcification,
            "fine-pleomorphic": codes.CID6010.FinePleomorphicCalcification,
            "fine-linear": codes.CID6010.FineLinearBranchingCastingCalcification,
        },
    ),
    "distribution": (
        codes.DCM.CalcificationDistribution,
        {
            "diffuse": codes.CID6012.DiffuseCalcificationDistribution,
            "regional": codes.CID6012.RegionalCalcificationDistribution,
            "grouped": codes.CID6012.GroupedCalcificationDistribution,
            "linear": codes.CID6012.LinearCalcificationDistribution,
            "segmental": codes.CID6012.SegmentalCalcificationDistribution,
        },
    ),
}
_ASSOCIATED_FINDING = Code("246090004", "SCT", "Associated finding")
ASSOCIATED = {  # CID 6056 Associated Findings for Breast, where it has a code
    "skin-retraction": _SCT.SkinRetractionOfBreast,
    "nipple-retraction": codes.CID6056.NippleRetraction,
    "skin-thickening": _SCT.SkinThickeningOfBreast,
    "trabecular-thickening": _SCT.TrabecularThickeningOfBreast,
    "axillary-adenopathy": codes.CID6056.AxillaryAdenopathy,
    "distortion": _SCT.ArchitecturalDistortionOfBreast,
    "calcifications": _SCT.CalcificationOfBreast,
}
_SIZE = Code("103339001", "SCT", "Long axis")


@dataclass(frozen=True)
class CodedFinding:
    """A finding in codes.

    kind : type of finding
    side : L or R; None if not stated
    terms : (concept, value) of location, descriptors and associated findings
    lengths : (concept, millimetres)
    """

    kind: Code
    side: str | None
    terms: tuple[tuple[Code, Code], ...]
    lengths: tuple[tuple[Code, int], ...]


def coded(finding: Finding) -> CodedFinding:
    """Return a finding in codes; a type of asymmetry other than focal has no code of its own."""
    kind = _FOCAL if finding.descriptors.get("type") == "focal" else KINDS[finding.kind]
    terms: list[tuple[Code, Code]] = []
    if finding.region in QUADRANTS:
        terms.append((codes.DCM.QuadrantLocation, QUADRANTS[finding.region]))
    if finding.region in REGIONS:
        terms.append((codes.DCM.ClockfaceOrRegion, REGIONS[finding.region]))
    if finding.clock:
        terms.append((codes.DCM.ClockfaceOrRegion, HOURS[finding.clock]))
    if finding.depth:
        terms.append((codes.DCM.Depth, DEPTHS[finding.depth]))
    for name, term in finding.descriptors.items():
        if name in DESCRIPTORS:
            concept, values = DESCRIPTORS[name]
            terms.append((concept, values[term]))
    terms += [(_ASSOCIATED_FINDING, ASSOCIATED[feature]) for feature in finding.associated]
    lengths = [(codes.DCM.DistanceFromNipple, finding.nipple_mm), (_SIZE, finding.size_mm)]
    return CodedFinding(
        kind, finding.side, tuple(terms), tuple((name, mm) for name, mm in lengths if mm is not None)
    )
