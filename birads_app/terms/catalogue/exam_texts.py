"""Uploads, exams, assessments and their export."""

from birads_app.terms.translation import N_

EXAM = {
    "no-files": N_("No file was received. Choose at least one image."),
    "too-many-files": N_(
        "%(count)d files were received; one upload may have %(limit)d. Send them in smaller parts."
    ),
    "file-problem": N_("%(file)s: %(problem)s"),
    "archive-too-many-files": N_("The archive %(name)s holds %(count)d files; %(most)d may come together."),
    "archive-encrypted": N_("The archive %(name)s is encrypted. Pack the images without a password."),
    "archive-file-too-large": N_("A file in the archive %(name)s has more than 1 GiB unpacked."),
    "archive-damaged": N_("The archive %(name)s is damaged. Pack the images again."),
    "archive-file-damaged": N_("A file in the archive %(name)s is damaged. Pack the images again."),
    "exam-missing": N_("There is no such exam. It may have been deleted."),
    "exam-image-missing": N_("This exam has no such image."),
    "assessment-missing": N_("This exam has no such assessment."),
    "assessment-too-long": N_(
        "An assessment has up to %(letters)d letters and %(findings)d findings. Got %(text)d and %(found)d."
    ),
    "breast-category-missing": N_("Before it is signed, each breast needs a category. Missing: %(sides)s."),
    "assessment-value-unknown": N_("Unknown value for %(field)s: %(value)s. Choose one of: %(known)s."),
    "finding-value-unknown": N_(
        "Unknown value for %(field)s of a finding: %(value)s. Reload the page and choose again."
    ),
    "mark-incomplete": N_("A mark needs an image and both coordinates. Got only part of that."),
    "mark-outside-image": N_("A mark lies within its image, 0 to 1. Got %(x)s, %(y)s."),
    "finding-kind-missing": N_("Say what kind of finding number %(number)d is, or remove it."),
    "clock-hour": N_("%(hour)s o’clock"),
    "clock-not-whole": N_("The clock position has to be a whole number from 1 to 12. Got %(text)s."),
    "size-not-whole": N_("The size has to be a whole number of millimetres. Got %(text)s."),
    "mark-number-needed": N_("A mark's place is a number. Got %(text)s."),
    "image-kind-unknown": N_("An image has no %(kind)s. There are: %(kinds)s."),
    "image-file-missing": N_("The file of this image is missing from the instance folder."),
    "image-encoding-failed": N_("The picture could not be encoded for display."),
    "tile-missing": N_("This image has no such tile."),
    "image-files-gone": N_("The files of this image are gone. The exam may have been deleted."),
    "export-folder-not-empty": N_("%(folder)s is there already and not empty. Name a new folder."),
    "export-no-labels": N_("No read exam has an image with a label: nothing was written."),
    "export-folder-unwritable": N_("%(folder)s cannot be written: %(reason)s. Nothing is left of it."),
}
