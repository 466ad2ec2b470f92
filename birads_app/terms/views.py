"""Sides, views and kinds of images of a mammogram: codes as in DICOM (PS3.16 CID 4014, 4015), with their names."""

from enum import StrEnum

from birads_app.terms.translation import N_

# Right before left: the order in which breasts hang, seen from the front.
SIDES = {"R": N_("right breast"), "L": N_("left breast")}

# In hanging order, the standard views first.
VIEWS = {
    "CC": N_("craniocaudal"),
    "MLO": N_("mediolateral oblique"),
    "ML": N_("mediolateral"),
    "LM": N_("lateromedial"),
    "LMO": N_("lateromedial oblique"),
    "XCC": N_("exaggerated craniocaudal"),
    "XCCL": N_("exaggerated craniocaudal, lateral"),
    "XCCM": N_("exaggerated craniocaudal, medial"),
    "FB": N_("caudocranial"),
    "SIO": N_("superolateral to inferomedial oblique"),
    "ISO": N_("inferomedial to superolateral oblique"),
    "CV": N_("cleavage"),
    "AT": N_("axillary tail"),
}
# The views of screening, which show the whole breast; those that the model was trained on.
STANDARD_VIEWS = ("CC", "MLO")

# Modifiers, each of which makes a view a special one. The first 14 are those of CID 4015.
MODIFIERS = {
    "cleavage": N_("cleavage"),
    "axillary tail": N_("axillary tail"),
    "rolled lateral": N_("rolled lateral"),
    "rolled medial": N_("rolled medial"),
    "rolled inferior": N_("rolled inferior"),
    "rolled superior": N_("rolled superior"),
    "implant displaced": N_("implant displaced"),
    "magnification": N_("magnification"),
    "spot compression": N_("spot compression"),
    "tangential": N_("tangential"),
    "nipple in profile": N_("nipple in profile"),
    "anterior compression": N_("anterior compression"),
    "infra-mammary fold": N_("infra-mammary fold"),
    "axillary tissue": N_("axillary tissue"),
    "rolled": N_("rolled"),
    "part of a view": N_("partial view"),
    "small field of view": N_("small field of view"),
}

# Images that are no view of a breast, or none for reading. The first one counts if a header names several.
OTHER_IMAGES = {
    "specimen": N_("specimen"),
    "tomosynthesis projection": N_("tomosynthesis projection"),
    "tomosynthesis slice": N_("tomosynthesis slice"),
    "subtraction": N_("subtraction"),
    "recombined image": N_("recombined image"),
    "high-energy image": N_("high-energy image"),
    "stereotactic image": N_("stereotactic image"),
    "image of an intervention": N_("interventional image"),
    "galactogram": N_("galactogram"),
    "localizer": N_("localizer"),
    "screen capture": N_("screen capture"),
}


class ViewRole(StrEnum):
    """Part that an image plays in the exam; only standard views count for the breast's prediction."""

    STANDARD = "standard"
    SPECIAL = "special"
    OTHER = "other"
    UNKNOWN = "unknown"


def role_of(view: str | None) -> ViewRole:
    """Return the role of a view without modifiers."""
    if view is None:
        return ViewRole.UNKNOWN
    return ViewRole.STANDARD if view in STANDARD_VIEWS else ViewRole.SPECIAL
