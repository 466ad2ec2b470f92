"""BI-RADS mammography lexicon, 5th edition: findings, locations, breast densities and assessment categories.

The database stores codes; pages and reports show labels. Labels are marked for translation and translated when shown.
"""

from dataclasses import dataclass, replace

from birads_app.terms.categories import CATEGORIES, Category
from birads_app.terms.translation import N_


@dataclass(frozen=True)
class Descriptor:
    """Descriptor of a finding, such as its shape.

    groups : label by code of the terms, by label of their group (empty for a single group)
    """

    code: str
    label: str
    groups: dict[str, dict[str, str]]

    @property
    def terms(self) -> dict[str, str]:
        """Label by code of all terms."""
        return {code: label for terms in self.groups.values() for code, label in terms.items()}


@dataclass(frozen=True)
class FindingType:
    """Type of finding, with its descriptors."""

    code: str
    label: str
    descriptors: tuple[Descriptor, ...] = ()


_SHAPE = Descriptor(
    "shape",
    N_("Shape"),
    {"": {"oval": N_("Oval"), "round": N_("Round"), "irregular": N_("Irregular")}},
)
_MARGIN = Descriptor(
    "margin",
    N_("Margin"),
    {
        "": {
            "circumscribed": N_("Circumscribed"),
            "obscured": N_("Obscured"),
            "microlobulated": N_("Microlobulated"),
            "indistinct": N_("Indistinct"),
            "spiculated": N_("Spiculated"),
        }
    },
)
_MASS_DENSITY = Descriptor(
    "density",
    N_("Density of the mass"),
    {
        "": {
            "high": N_("High density"),
            "equal": N_("Equal density"),
            "low": N_("Low density"),
            "fat": N_("Fat-containing"),
        }
    },
)
_MORPHOLOGY = Descriptor(
    "morphology",
    N_("Morphology"),
    {
        N_("Typically benign"): {
            "skin": N_("Skin"),
            "vascular": N_("Vascular"),
            "coarse": N_("Coarse or “popcorn-like”"),
            "rod": N_("Large rod-like"),
            "round": N_("Round"),
            "rim": N_("Rim"),
            "dystrophic": N_("Dystrophic"),
            "milk": N_("Milk of calcium"),
            "suture": N_("Suture"),
        },
        N_("Suspicious morphology"): {
            "amorphous": N_("Amorphous"),
            "coarse-heterogeneous": N_("Coarse heterogeneous"),
            "fine-pleomorphic": N_("Fine pleomorphic"),
            "fine-linear": N_("Fine linear or fine-linear branching"),
        },
    },
)
_DISTRIBUTION = Descriptor(
    "distribution",
    N_("Distribution"),
    {
        "": {
            "diffuse": N_("Diffuse"),
            "regional": N_("Regional"),
            "grouped": N_("Grouped"),
            "linear": N_("Linear"),
            "segmental": N_("Segmental"),
        }
    },
)
_ASYMMETRY = Descriptor(
    "type",
    N_("Type of asymmetry"),
    {
        "": {
            "asymmetry": N_("Asymmetry"),
            "global": N_("Global asymmetry"),
            "focal": N_("Focal asymmetry"),
            "developing": N_("Developing asymmetry"),
        }
    },
)

_FINDING_TYPES = (
    FindingType("mass", N_("Mass"), (_SHAPE, _MARGIN, _MASS_DENSITY)),
    FindingType("calcifications", N_("Calcifications"), (_MORPHOLOGY, _DISTRIBUTION)),
    FindingType("distortion", N_("Architectural distortion")),
    FindingType("asymmetry", N_("Asymmetries"), (_ASYMMETRY,)),
    FindingType("lymph-node", N_("Intramammary lymph node")),
    FindingType("skin-lesion", N_("Skin lesion")),
    FindingType("dilated-duct", N_("Solitary dilated duct")),
)
FINDING_TYPES: dict[str, FindingType] = {kind.code: kind for kind in _FINDING_TYPES}

# All descriptors by code; a code has the same meaning for every type of finding.
DESCRIPTORS: dict[str, Descriptor] = {
    descriptor.code: descriptor for kind in _FINDING_TYPES for descriptor in kind.descriptors
}

ASSOCIATED: dict[str, str] = {
    "skin-retraction": N_("Skin retraction"),
    "nipple-retraction": N_("Nipple retraction"),
    "skin-thickening": N_("Skin thickening"),
    "trabecular-thickening": N_("Trabecular thickening"),
    "axillary-adenopathy": N_("Axillary adenopathy"),
    "distortion": N_("Architectural distortion"),
    "calcifications": N_("Calcifications"),
}

SIDES: dict[str, str] = {"R": N_("Right breast"), "L": N_("Left breast")}
REGIONS: dict[str, str] = {
    "upper-outer": N_("Upper outer quadrant"),
    "upper-inner": N_("Upper inner quadrant"),
    "lower-outer": N_("Lower outer quadrant"),
    "lower-inner": N_("Lower inner quadrant"),
    "central": N_("Central"),
    "subareolar": N_("Subareolar"),
    "axillary-tail": N_("Axillary tail"),
}
CLOCK = tuple(range(1, 13))
DEPTHS: dict[str, str] = {
    "anterior": N_("Anterior third"),
    "middle": N_("Middle third"),
    "posterior": N_("Posterior third"),
}
LARGEST_MM = 300
FARTHEST_MM = 250  # from the nipple

# Parts of a report that are written as text; what is left empty has a default.
SECTIONS: dict[str, str] = {
    "indication": N_("Indication"),
    "comparison": N_("Comparison"),
    "technique": N_("Technique"),
    "management": N_("Management"),
}

DENSITIES: dict[str, str] = {
    "A": N_("The breasts are almost entirely fatty"),
    "B": N_("There are scattered areas of fibroglandular density"),
    "C": N_("The breasts are heterogeneously dense, which may obscure small masses"),
    "D": N_("The breasts are extremely dense, which lowers the sensitivity of mammography"),
}


def _assessments() -> dict[str, Category]:
    """Return the categories, with 4A to 4C after 4, whose description and management they share."""
    found = dict(CATEGORIES)
    suspicious = found.pop("4")
    for code, title in (
        ("4", suspicious.title),
        ("4A", N_("Low suspicion for malignancy")),
        ("4B", N_("Moderate suspicion for malignancy")),
        ("4C", N_("High suspicion for malignancy")),
    ):
        found[code] = replace(suspicious, code=code, title=title)
    return {code: found[code] for code in sorted(found)}


ASSESSMENTS: dict[str, Category] = _assessments()
