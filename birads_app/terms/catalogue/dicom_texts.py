"""DICOM files: header, pixel data, presentation and view."""

from birads_app.terms.translation import N_
from birads_app.terms.views import MODIFIERS, OTHER_IMAGES

DICOM = {
    "dicom-frames-mismatch": N_(
        "The header declares %(count)d frames, but the fragments of the pixel data (%(fragments)d) make "
        "%(groups)d. The file is damaged. Export it again."
    ),
    "for-processing": N_(
        "This is a FOR PROCESSING image (raw detector values), displayed on a logarithmic scale without "
        "the manufacturer's processing. Send the FOR PRESENTATION image if there is one."
    ),
    "no-window": N_("The file has no window settings; the full range of values was used."),
    "window-ignored": N_(
        "With the window settings of the file the image is not visible; the full range of values was used "
        "instead."
    ),
    "window-skipped": N_(
        "With the first window settings of the file the image is not visible; the next ones were used "
        "instead."
    ),
    "voi-lut-depth-corrected": N_(
        "The entries of the file's VOI LUT have %(actual)d bits, although it declares %(described)d; the "
        "actual depth was used."
    ),
    "pixel-data-longer": N_(
        "The file has pixel data for %(surplus)d rows more than the %(rows)d that its header declares. They are not "
        "shown; the image may be incomplete."
    ),
    "bits-stored-corrected": N_(
        "The pixel values have %(bits)d bits, although the header declares %(stored)d; all bits were used."
    ),
    "high-bit-corrected": N_(
        "The header declares High Bit %(high)d, but the pixel values end at bit %(actual)d; they were read "
        "as stored."
    ),
    "pixel-representation-corrected": N_(
        "The Pixel Representation in the header (signed or unsigned) contradicts the pixel values; the "
        "opposite was assumed, with %(bits)d bits."
    ),
    "padding-ignored": N_(
        "The Pixel Padding Value in the header is also the value of many image pixels and was ignored."
    ),
    "polarity-corrected": N_(
        "According to the header the air would be white and the breast dark; the image was inverted."
    ),
    "rescale-ignored": N_(
        "The rescale values or the modality LUT in the header are implausible and were ignored."
    ),
    "no-preamble": N_(
        "The DICOM preamble is missing, an error of the exporting system. The file was read anyway."
    ),
    "repeated-preamble": N_(
        "The file has two DICOM preambles, an error of the exporting system. The file was read anyway."
    ),
    "dicom-no-image": N_("The DICOM object has no pixel data (%(kind)s). Send the images of the exam."),
    "dicom-cut-off": N_(
        "The DICOM file is incomplete: it ends at the beginning of the header. Export it again."
    ),
    "deflated-too-large": N_(
        "The deflated DICOM file is larger than %(mebibytes)d MiB when decompressed. Send the original "
        "mammogram."
    ),
    "deflated-cut-off": N_("The deflated DICOM file is incomplete. Export it again."),
    "deflated-damaged": N_("The deflated DICOM file is damaged and cannot be decompressed. Export it again."),
    "dicom-multi-frame": N_("This is a multi-frame object (%(frames)s frames). Send single-frame images."),
    "quality-control-image": N_(
        "According to the header, this is a quality control image, not an image of a breast."
    ),
    "wrong-modality": N_("According to the header, the modality is %(modality)s, not MG (mammography)."),
    "wrong-body-part": N_("According to the header, the body part is %(part)s, not the breast."),
    "float-pixels": N_("The DICOM file has floating point pixel data, which mammograms never have."),
    "no-pixel-data": N_(
        "The DICOM file has no pixel data: it ends after the header. It is incomplete or was exported "
        "without the image. Export it again."
    ),
    "private-frames": N_(
        "The DICOM object (%(kind)s) has no Pixel Data element, only private elements of the manufacturer, "
        "which other programs cannot read. Send the 2D or synthetic 2D images, or export it as a standard "
        "object."
    ),
    "volume-slice": N_(
        "The object is a single slice of a volume (%(kind)s), not a mammogram. Send the 2D or synthetic 2D "
        "images, or the volume as a Breast Tomosynthesis object."
    ),
    "dicom-no-pixels": N_("The DICOM file has no pixel data. Send the images of the exam."),
    "too-many-elements": N_("The DICOM header has too many elements. The file is damaged. Export it again."),
    "header-cut-off": N_("The file is incomplete: the DICOM header ends early. Export it again."),
    "element-cut-off": N_(
        "The DICOM element %(tag)s declares %(length)d bytes, but only %(left)d are left. The file is "
        "incomplete or damaged. Export it again."
    ),
    "fragment-cut-off": N_(
        "A fragment of the compressed pixel data declares %(length)d bytes, but only %(left)d are left. "
        "The file is incomplete or damaged. Export it again."
    ),
    "export-as-supported": N_(
        "Export the image uncompressed or as JPEG Lossless, JPEG-LS, JPEG 2000 or RLE."
    ),
    "no-frame-header": N_(
        "The compressed pixel data has no frame header. The file is damaged. Export it again."
    ),
    "frame-header-damaged": N_("The header of the compressed pixel data is damaged. Export the file again."),
    "dicom-in-colour": N_(
        "The DICOM image is in colour (Photometric Interpretation %(colours)s). Mammograms are MONOCHROME1 "
        "or MONOCHROME2."
    ),
    "bits-not-supported": N_("The DICOM image has %(allocated)d bits allocated; 8 or 16 are supported."),
    "transfer-syntax-not-supported": N_("The transfer syntax %(syntax)s is not supported. %(advice)s"),
    "transfer-syntax-wrong": N_(
        "The header declares the transfer syntax %(syntax)s, but the pixel data is encoded differently."
    ),
    "transfer-syntax-corrected": N_(
        "The file is encoded as %(actual)s, not as %(declared)s, which its header declares. It was read anyway."
    ),
    "frame-cut-off": N_("The file is incomplete: the compressed pixel data ends early. Export it again."),
    "decoded-size-mismatch": N_(
        "The size of the decompressed image differs from the DICOM header. The file is damaged. Export it "
        "again."
    ),
    "pixel-data-short": N_(
        "The file is incomplete: %(given)d of %(needed)d bytes of pixel data were received. Export it again."
    ),
    "pixel-data-deeper": N_(
        "The header declares 8 bits per pixel, but the pixel data has %(given)d bytes, twice the expected "
        "%(needed)d: the header is wrong. Export the image again with 16 bits allocated."
    ),
    "precision-mismatch": N_(
        "The pixel data has %(precision)d bits per pixel, but the header declares %(allocated)d."
    ),
    "jpeg-process-not-supported": N_(
        "JPEG of type %(kind)s with %(precision)d bits is not supported. %(advice)s"
    ),
    "frame-size-mismatch": N_(
        "The compressed image has %(columns)d x %(rows)d pixels and %(components)d components, but the "
        "DICOM header declares %(expected_columns)d x %(expected_rows)d and 1. The file is damaged. Export "
        "it again."
    ),
    "decompression-failed": N_(
        "The pixel data (%(syntax)s) cannot be decompressed. The file is incomplete or damaged. Export it "
        "again."
    ),
    "header-value-unusable": N_(
        "The value of %(keyword)s in the DICOM header is missing or invalid. Export the file again."
    ),
    "tomosynthesis-projected": N_(
        "This is a tomosynthesis volume. The model analysed the maximum intensity projection of its "
        "%(count)d slices, for which it was not trained. Send the 2D or synthetic 2D image if there is "
        "one."
    ),
    "tomosynthesis-refused": N_(
        "This is a tomosynthesis volume of %(count)d slices, and this server does not accept tomosynthesis "
        "(BIRADS_TOMOSYNTHESIS is refuse). Send the 2D or synthetic 2D images of the exam."
    ),
    "implant-displaced": N_(
        "According to the file, this is an implant displaced (Eklund) view. The model was not trained on "
        "breasts with implants."
    ),
    "implant": N_(
        "According to the file, the breast has an implant. The model was not trained on breasts with "
        "implants."
    ),
    "magnification-view": N_("This is a magnification view; the model was trained on standard views only."),
    "spot-compression-view": N_(
        "This is a spot compression view; the model was trained on standard views only."
    ),
    "special-view": N_(
        "According to the file, this is a special view (%(name)s); the model was trained on standard views only."
    ),
    "additional-view": N_(
        "This is an additional view (%(view)s); the model was trained on standard views, CC and MLO, only."
    ),
    "other-image": N_(
        "According to the file, this image is not meant for interpretation (%(name)s). It is not included in "
        "the breast's result."
    ),
    "view-not-understood": N_(
        "The view stated in the file is not recognised. The image is not included in the breast's result "
        "until its view is set manually."
    ),
    "view-contradiction": N_(
        "The file contains contradictory information about the view. The image is not included in the "
        "breast's result until its view is set manually."
    ),
    "view-contradiction-settled": N_(
        "The file contains contradictory information about the view. It was read as %(view)s, based on other "
        "information in the file."
    ),
    "side-contradiction": N_(
        "The file contains contradictory information about the side. The image is not included in either "
        "breast's result until its side is set manually."
    ),
    "side-contradiction-settled": N_(
        "The file contains contradictory information about the side. It was read as %(side)s, based on other "
        "information in the file."
    ),
    "description-contradicts": N_(
        "A description in the file names another view or side than its codes, which were followed."
    ),
    "partial-view": N_("According to the file, the image shows only part of the breast."),
    "burned-in-text": N_(
        "According to the file, the image contains burned-in text, which may identify the patient."
    ),
    "overlay-not-shown": N_(
        "The file has an overlay (annotations stored separately from the image), which is not displayed."
    ),
    "pixels-not-square": N_(
        "The pixels of the file are not square; the image was stretched to its true proportions."
    ),
    "aspect-ratio-ignored": N_(
        "The pixel aspect ratio in the file is implausible and was ignored. The image may be distorted, "
        "and measurements are not available."
    ),
}
# Names of views, as values of other messages.
_OWN_MESSAGES = {"implant displaced", "magnification", "spot compression", "part of a view"}
DICOM |= {
    f"term-{name.replace(' ', '-')}": text
    for name, text in (MODIFIERS | OTHER_IMAGES).items()
    if name not in _OWN_MESSAGES
}
