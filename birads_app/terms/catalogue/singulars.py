"""Texts for the number 1, by code: the name of the value that is the number, and the text."""

from birads_app.terms.translation import N_

SINGULARS: dict[str, tuple[str, str]] = {
    "assessment-too-long": (
        "found",
        N_(
            "The assessment has %(text)d characters and %(found)d finding; at most %(letters)d characters and "
            "%(findings)d findings are allowed."
        ),
    ),
    "audit-entries-removed": (
        "intact",
        N_("Entries %(first)d to %(last)d of the audit log were removed. %(intact)d entry is intact."),
    ),
    "audit-entry-differs": (
        "intact",
        N_(
            "Entry %(number)d of the audit log is not as it was written: it was changed, inserted or moved. "
            "The %(intact)d entry before it is intact."
        ),
    ),
    "caution-few-patients": (
        "patients",
        N_("It was trained and tested on %(patients)d patient, which is fewer than %(least)d."),
    ),
    "caution-report-warns": ("count", N_("Its training report has a warning.")),
    "dicom-frames-mismatch": (
        "count",
        N_(
            "The header declares %(count)d frame, but the fragments of the pixel data (%(fragments)d) make "
            "%(groups)d. The file is damaged. Export it again."
        ),
    ),
    "element-cut-off": (
        "left",
        N_(
            "The DICOM element %(tag)s declares %(length)d bytes, but only %(left)d is left. The file is "
            "incomplete or damaged. Export it again."
        ),
    ),
    "fragment-cut-off": (
        "left",
        N_(
            "A fragment of the compressed pixel data declares %(length)d bytes, but only %(left)d is left. "
            "The file is incomplete or damaged. Export it again."
        ),
    ),
    "objects-left-out": ("received", N_("%(used)d of %(received)d object used; left out: %(reasons)s")),
    "priors-incomplete": (
        "count",
        N_("%(failed)d of %(count)d prior study was not retrieved: %(reason)s"),
    ),
    "pixel-data-longer": (
        "surplus",
        N_(
            "The file has pixel data for %(surplus)d row more than the %(rows)d that its header declares. It is "
            "not shown; the image may be incomplete."
        ),
    ),
    "too-many-sign-ins": ("minutes", N_("Too many sign-in attempts. Try again in %(minutes)d minute.")),
    "too-many-sign-ins-lately": (
        "seconds",
        N_("Too many sign-in attempts. Try again in %(seconds)d second."),
    ),
    "uploads-busy": (
        "seconds",
        N_("The server is busy with other uploads. Nothing was stored. Try again in %(seconds)d second."),
    ),
    "uploads-share-taken": (
        "seconds",
        N_(
            "Your account has as many uploads at a time as one account may have. Nothing was stored. Try again in "
            "%(seconds)d second."
        ),
    ),
}
