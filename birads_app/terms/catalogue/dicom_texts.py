"""DICOM files: header, pixel data, presentation and view."""

from birads_app.terms.translation import N_

DICOM = {
    "dicom-frames-mismatch": N_(
        "The header declares %(count)d frames, but the pixel data has %(fragments)d parts that make up "
        "%(groups)d: the file is damaged. Export it again."
    ),
    "for-processing": N_(
        "The image is FOR PROCESSING (raw detector values). It was shown by its logarithm, which cannot "
        "replace the manufacturer's processing: send the FOR PRESENTATION image where there is one."
    ),
    "no-window": N_("The file has no window; the whole range of its values was used."),
    "window-ignored": N_(
        "The file's window hides the picture; the whole range of its values was used instead."
    ),
    "no-preamble": N_(
        "The file has no DICOM preamble, which is a fault of what exported it; it was read all the same."
    ),
    "repeated-preamble": N_(
        "The file has its DICOM file header twice, a fault of what exported it; it was read all the same."
    ),
    "dicom-no-image": N_("The DICOM file has no pixels (%(kind)s). Send the images of the exam."),
    "dicom-cut-off": N_("The DICOM file ends after its first lines: it was cut off. Export it again."),
    "deflated-too-large": N_(
        "The deflated file holds more than %(mebibytes)d MiB. Send the original mammogram."
    ),
    "deflated-cut-off": N_("The deflated file ends early: it was cut off. Export it again."),
    "deflated-damaged": N_("The deflated file cannot be inflated: it is damaged. Export it again."),
    "dicom-multi-frame": N_("This is a multi-frame object (%(frames)s frames). Send single images."),
    "quality-control-image": N_("This is a quality control image, as its header says: it shows no breast."),
    "wrong-modality": N_("The header says that the modality is %(modality)s, not MG (mammography)."),
    "wrong-body-part": N_("The header says that this image shows %(part)s, not a breast."),
    "float-pixels": N_("The DICOM file has floating point pixels, which no mammogram has."),
    "no-pixel-data": N_(
        "The DICOM file has no pixel data: it ends after the header. It was cut off, or exported without "
        "pixels. Export it again."
    ),
    "dicom-no-pixels": N_("The DICOM file has no pixels. Send the images of the exam."),
    "too-many-elements": N_("The DICOM header has more elements than any image's; the file is damaged."),
    "header-cut-off": N_("The DICOM header ends early: it was cut off. Export it again."),
    "element-cut-off": N_(
        "The DICOM element %(tag)s declares %(length)d bytes, but the file has only %(left)d more: it was"
        " cut off or is damaged. Export it again."
    ),
    "fragment-cut-off": N_(
        "The compressed pixel data declares a part of %(length)d bytes where %(left)d are left: the file "
        "was cut off or is damaged. Export it again."
    ),
    "export-as-supported": N_("Export it uncompressed or as JPEG Lossless, JPEG-LS, JPEG 2000 or RLE."),
    "no-frame-header": N_("The compressed pixel data has no frame header; the file is damaged."),
    "frame-header-damaged": N_("The header of the compressed pixel data is damaged. Export the file again."),
    "dicom-in-colour": N_(
        "The DICOM image is in colour (Photometric Interpretation %(colours)s). Mammograms are "
        "MONOCHROME1 or MONOCHROME2."
    ),
    "bits-not-supported": N_("The DICOM image has %(allocated)d bits allocated; 8 or 16 are read."),
    "bits-contradictory": N_(
        "The DICOM header contradicts itself: bits allocated %(allocated)d, stored %(stored)d, high bit "
        "%(high)d."
    ),
    "transfer-syntax-not-supported": N_("The transfer syntax %(syntax)s is not read. %(advice)s"),
    "transfer-syntax-wrong": N_("The pixel data is not encoded as %(syntax)s, as the header says."),
    "frame-cut-off": N_("The compressed picture has no end: it was cut off. Export it again."),
    "decoded-size-mismatch": N_("The decompressed picture has another size than the DICOM header says."),
    "pixel-data-short": N_(
        "The pixel data ends early: %(given)d of %(needed)d bytes are there. The file was cut off. Export"
        " it again."
    ),
    "precision-mismatch": N_("The pixel data has %(precision)d bits, the header declares %(allocated)d."),
    "jpeg-process-not-supported": N_("JPEG of kind %(kind)s with %(precision)d bits is not read. %(advice)s"),
    "frame-size-mismatch": N_(
        "The compressed picture has %(columns)d x %(rows)d pixels and %(components)d components, the "
        "DICOM header declares %(expected_columns)d x %(expected_rows)d and 1. The file is damaged."
    ),
    "decompression-failed": N_(
        "The pixel data (%(syntax)s) cannot be decompressed: it was cut off or is damaged. Export it again."
    ),
    "header-value-unusable": N_("The DICOM header has no usable %(keyword)s; the file is damaged."),
    "tomosynthesis-projected": N_(
        "This is a tomosynthesis volume. The brightest value of its %(count)d slices at each place was "
        "read, which the model was not trained for: send the two-dimensional or synthetic 2D image where "
        "there is one."
    ),
    "tomosynthesis-refused": N_(
        "This is a breast tomosynthesis volume of %(count)d slices, which is not read here "
        "(BIRADS_TOMOSYNTHESIS is refuse). Send the exam's two-dimensional or synthetic 2D images."
    ),
    "implant-displaced": N_(
        "The implant was pushed back for this view (implant displaced), as the file says; the model was "
        "not trained for implants."
    ),
    "implant": N_("The breast has an implant, as the file says; the model was not trained for implants."),
    "magnification-view": N_("This is a magnification view; the model knows standard views only."),
    "spot-compression-view": N_("This is a spot compression view; the model knows standard views only."),
    "partial-view": N_("The file says that it shows only a part of the breast."),
    "burned-in-text": N_("The file says that text is burnt into the image; it may identify the patient."),
    "overlay-not-shown": N_("The file has an overlay (marks kept apart from the image), which is not shown."),
    "pixels-not-square": N_(
        "The file's pixels are not square; the image was enlarged in one direction to its true shape."
    ),
    "aspect-ratio-ignored": N_(
        "The file gives its pixels a shape that no mammogram has; the image is shown as it is stored, "
        "perhaps distorted, and nothing in it can be measured."
    ),
    "other-patient": N_(
        "Its Patient ID is another than that of the files before it: an exam is of one patient. Send each"
        " patient's images apart."
    ),
}
