"""Files and pictures: their format, size, decoding and whether they show a mammogram."""

from birads_app.terms.translation import N_

IMAGE = {
    "accepted-formats": N_("Accepted formats: DICOM, PNG, JPEG, TIFF, BMP and PGM."),
    "not-dicom-despite-name": N_("The file name ends in .dcm, but this is not a DICOM file."),
    "pdf-document": N_("This is a PDF document."),
    "zip-archive": N_("This is a ZIP archive. Unpack it and send the images."),
    "gzip-archive": N_("This is a gzip archive. Unpack it and send the images."),
    "seven-zip-archive": N_("This is a 7-Zip archive. Unpack it and send the images."),
    "rar-archive": N_("This is a RAR archive. Unpack it and send the images."),
    "gif-image": N_("This is a GIF image."),
    "riff-file": N_("This is a RIFF file, such as WebP or AVI."),
    "bare-jpeg-2000": N_("This is a JPEG 2000 image without DICOM."),
    "numpy-array": N_("This is a NumPy array."),
    "ppm-image": N_("This is a colour image (PPM)."),
    "windows-program": N_("This is a Windows program."),
    "elf-program": N_("This is a program."),
    "file-of-type": N_("This is a file of type %(type)s."),
    "program-for": N_("This is a program for %(system)s."),
    "archive-of-type": N_("This is a %(type)s archive. Unpack it and send the images."),
    "office-document": N_("This is an office document."),
    "text-file": N_("This is a text file."),
    "unknown-format": N_("The file format is unknown."),
    "too-many-parts": N_("The %(source)s file has more than %(most)d %(parts)s. Export it again."),
    "parts-scans": N_("scans"),
    "parts-chunks": N_("chunks"),
    "parts-strips": N_("strips"),
    "out-of-memory": N_("The server does not have enough memory to read this file."),
    "reading-ended": N_(
        "Reading this file took too much memory or time, and was ended. Check that it is the image that you meant, "
        "or export it again."
    ),
    "file-damaged": N_("The file is damaged. Export it again."),
    "file-empty": N_("The file is empty. The export or copy may be incomplete."),
    "view-estimated": N_("%(judged)s was estimated from the image, as it is not given in the file."),
    "marks-blanked": N_(
        "Text or marks beside the breast were blanked before storage, because they may identify the patient. This "
        "program draws side and view on the image in place of a side marker."
    ),
    "marks-blanked-unknown": N_(
        "Text or marks beside the breast were blanked before storage, because they may identify the patient. A side "
        "marker may be among them, and the file does not state side and view: set them under Views, by the original."
    ),
    "orientation-0": N_("as stored"),
    "orientation-90": N_("turned by 90° clockwise"),
    "orientation-180": N_("turned by 180°"),
    "orientation-270": N_("turned by 90° anticlockwise"),
    "orientation-0-mirrored": N_("mirrored"),
    "orientation-90-mirrored": N_("mirrored and turned by 90° clockwise"),
    "orientation-180-mirrored": N_("flipped top to bottom"),
    "orientation-270-mirrored": N_("mirrored and turned by 90° anticlockwise"),
    "orientation-suspected": N_(
        "The image does not seem to be the right way up: it would be usual %(how)s. "
        "The AI result is of the image as stored."
    ),
    "orientation-stated": N_(
        "By its Patient Orientation the image is shown %(how)s. The AI result is of the image as stored."
    ),
    "orientation-set": N_("Shown %(how)s: set by %(name)s, %(at)s. The AI result is of the image as stored."),
    "orientation-invalid": N_("Unknown orientation. Choose one of the list."),
    "header-damaged": N_("The header of the %(source)s file is damaged. Export it again."),
    "decoding-failed": N_(
        "The %(source)s file is incomplete or damaged and cannot be decoded. Export it again."
    ),
    "tiff-multiple-pages": N_("The TIFF file has several pages. Save each view as a separate file."),
    "tiff-thumbnail-left-out": N_(
        "The TIFF file has several pages; the largest was read, %(count)d reduced copies were left out."
    ),
    "tiff-planar-colour": N_(
        "The TIFF file has 16-bit colours in separate planes. Save the image in greyscale."
    ),
    "transparency-dropped": N_("The image has transparent parts; they were treated as black."),
    "bits-inferred": N_("The image uses %(bits)d of 16 bits; it was read as a %(bits)d-bit image."),
    "values-not-finite": N_(
        "The image has pixel values that are not numbers (NaN or infinity). Export it with 16-bit integers."
    ),
    "values-stretched": N_(
        "The %(bits)d-bit values from %(low)s to %(high)s were scaled to the full grey scale."
    ),
    "image-without-pixels": N_(
        "The file declares an image of %(width)d x %(height)d pixels, so it is empty or damaged. Export it "
        "again."
    ),
    "image-too-large": N_(
        "The image has %(width)d x %(height)d pixels; at most %(megapixels)d megapixels are accepted. Send "
        "the original mammogram, not an enlargement."
    ),
    "squared-image-too-large": N_(
        "The pixels are not square; with square pixels the image would have %(width)d x %(height)d, and at "
        "most %(megapixels)d megapixels are accepted. Send an image with square pixels."
    ),
    "volume-too-large": N_(
        "The volume has %(slices)d slices of %(width)d x %(height)d pixels; at most %(megapixels)d "
        "megapixels are accepted. Send the 2D image."
    ),
    "raster-too-large": N_(
        "The image has more than %(megapixels)d megapixels. Send the original mammogram, not an enlargement."
    ),
    "image-too-small": N_(
        "The image has %(width)d x %(height)d pixels; at least %(needed)d x %(needed)d are needed."
    ),
    "image-too-narrow": N_(
        "The image is a narrow strip of %(width)d x %(height)d pixels and cannot show a breast."
    ),
    "image-in-colour": N_("The image is in colour; mammograms are greyscale. Send the original image."),
    "image-blank": N_("The image is blank: nearly all pixels have the same brightness."),
    "image-few-levels": N_(
        "The image has only %(levels)d grey levels, too few for a mammogram. Send the original image."
    ),
    "not-mammogram-noise": N_(
        "This does not look like a mammogram: the image is noise. Send the original image."
    ),
    "not-mammogram-fine-lines": N_(
        "This does not look like a mammogram: the image is full of fine lines or dots, like text, a "
        "drawing or a test pattern. Send the original image."
    ),
    "not-mammogram-background": N_(
        "This does not look like a mammogram: the image has no dark background. Send the original image."
    ),
    "not-mammogram-air": N_(
        "This does not look like a mammogram: the image has no uniformly dark area of air around the "
        "breast. Send the original image."
    ),
    "not-mammogram-edge": N_(
        "This does not look like a mammogram: the image has no breast outline, only a gradual change of "
        "brightness. Send the original image."
    ),
    "not-mammogram-regions": N_(
        "This does not look like a mammogram: the image has several bright regions instead of one breast. "
        "Send the original image."
    ),
    "not-mammogram-texture": N_(
        "This does not look like a mammogram: the bright region is uniform, without tissue texture. Send "
        "the original image."
    ),
    "image-inverted": N_(
        "The image appears to be inverted (dark breast on a bright background); the AI result is not "
        "reliable."
    ),
    "photograph-suspected": N_(
        "This looks like a photograph of a film or a screen (%(signs)s). The AI result is not reliable. Send the "
        "original image, or a scan of the film."
    ),
    "photograph-camera": N_("exposure data of a camera"),
    "photograph-frame": N_("a frame seen at an angle"),
    "photograph-moire": N_("moiré"),
    "low-resolution": N_(
        "Low resolution (%(width)d x %(height)d pixels): small calcifications may not be visible."
    ),
    "coloured-marks": N_("The image has coloured parts, such as annotations."),
    "low-contrast": N_("Low contrast: the image uses only a small part of the grey scale."),
    "bright-background": N_("The background is unusually bright; check that this is a mammogram."),
    "saturated": N_("Bright areas are saturated: details in dense tissue are lost."),
    "breast-not-at-edge": N_(
        "The breast does not reach the edge of the image: the image has a margin, or part of the breast is "
        "missing."
    ),
    "unusual-shape": N_("The image is unusually long and narrow."),
    "image-not-storable": N_(
        "The image cannot be stored as PNG. Export it as an 8-bit or 16-bit greyscale image."
    ),
}
