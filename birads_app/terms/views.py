"""Sides and views of a mammogram: codes as in DICOM (PS3.16 CID 4014), in hanging order, with their names."""

from birads_app.terms.translation import N_

# Right before left: the order in which breasts hang, seen from the front.
SIDES = {"R": N_("right breast"), "L": N_("left breast")}

# The standard screening views first.
VIEWS = {
    "CC": N_("craniocaudal"),
    "MLO": N_("mediolateral oblique"),
    "ML": N_("mediolateral"),
    "LM": N_("lateromedial"),
    "LMO": N_("lateromedial oblique"),
    "XCCL": N_("exaggerated craniocaudal, lateral"),
    "XCCM": N_("exaggerated craniocaudal, medial"),
    "FB": N_("caudocranial"),
    "SIO": N_("superolateral to inferomedial oblique"),
    "ISO": N_("inferomedial to superolateral oblique"),
    "CV": N_("cleavage"),
    "AT": N_("axillary tail"),
}
