"""Files and pictures: their format, size, decoding and whether they show a mammogram."""

from birads_app.terms.translation import N_

IMAGE = {
    "accepted-formats": N_("Accepted are DICOM, PNG, JPEG, TIFF, BMP and PGM."),
    "not-dicom-despite-name": N_("Its name ends in .dcm, but it holds no DICOM."),
    "pdf-document": N_("This is a PDF document."),
    "zip-archive": N_("This is a ZIP archive or an office document; unpack it and send the images in it."),
    "gzip-archive": N_("This is a gzip archive; unpack it and send the images in it."),
    "seven-zip-archive": N_("This is a 7-Zip archive; unpack it and send the images in it."),
    "rar-archive": N_("This is a RAR archive; unpack it and send the images in it."),
    "gif-image": N_("This is a GIF picture."),
    "riff-file": N_("This is a RIFF file, such as WebP or AVI."),
    "bare-jpeg-2000": N_("This is a JPEG 2000 picture outside of DICOM."),
    "numpy-array": N_("This is a NumPy array."),
    "ppm-image": N_("This is a colour picture (PPM)."),
    "windows-program": N_("This is a Windows program."),
    "elf-program": N_("This is a program."),
    "text-file": N_("This is a text file."),
    "unknown-format": N_("The file's format is not known."),
    "out-of-memory": N_("There is not enough memory to read this file."),
    "file-damaged": N_("The file contradicts itself: it is damaged. Export it again."),
    "file-empty": N_("The file is empty. It may not have been exported or copied completely."),
    "view-estimated": N_("%(judged)s was judged from the image; the file does not say."),
    "header-damaged": N_("The %(source)s file's header is damaged. Export it again."),
    "decoding-failed": N_(
        "The %(source)s file cannot be decoded: it was cut off or is damaged. Export it again."
    ),
    "tiff-multiple-pages": N_("The TIFF file has several pages. Save every view as a file of its own."),
    "tiff-planar-colour": N_("The TIFF file keeps colours of 16 bits apart. Save the image in grey."),
    "transparency-dropped": N_("The picture has transparent parts; they were taken as black."),
    "bits-inferred": N_(
        "The file's values fill %(bits)d of 16 bits; it was read as an image of %(bits)d bits."
    ),
    "values-not-finite": N_("The picture has values that are no numbers. Export whole numbers of 16 bits."),
    "values-stretched": N_(
        "The file has %(bits)d-bit values from %(low)s to %(high)s; they were stretched to the grey scale."
    ),
    "image-without-pixels": N_(
        "The file declares a picture of %(width)d x %(height)d pixels, which is none."
    ),
    "image-too-large": N_(
        "The file declares %(width)d x %(height)d pixels; at most %(megapixels)d megapixels are read. "
        "Send the original mammogram, not an enlargement."
    ),
    "squared-image-too-large": N_(
        "The file's pixels are not square; with square ones the image has %(width)d x %(height)d, and at "
        "most %(megapixels)d megapixels are read. Send an image with square pixels."
    ),
    "volume-too-large": N_(
        "The file declares %(slices)d slices of %(width)d x %(height)d pixels; at most %(megapixels)d "
        "megapixels are read. Send the two-dimensional image."
    ),
    "raster-too-large": N_(
        "The file declares more than %(megapixels)d megapixels. Send the original mammogram, not an "
        "enlargement."
    ),
    "image-too-small": N_(
        "The picture has only %(width)d x %(height)d pixels; at least %(needed)d a side are needed."
    ),
    "image-too-narrow": N_(
        "The picture is a narrow strip of %(width)d x %(height)d pixels, which shows no breast."
    ),
    "image-in-colour": N_("The picture is in colour, as no mammogram is. Send the original image."),
    "image-blank": N_("The picture is empty: nearly all of its pixels have the same brightness."),
    "not-mammogram-noise": N_("This does not look like a mammogram: it is noise. Send the original image."),
    "not-mammogram-fine-lines": N_(
        "This does not look like a mammogram: it is full of fine lines or dots, like text, a drawing or a"
        " test pattern. Send the original image."
    ),
    "not-mammogram-background": N_(
        "This does not look like a mammogram: it has no dark background, as air around a breast is. Send "
        "the original image."
    ),
    "not-mammogram-air": N_(
        "This does not look like a mammogram: there is no quiet, dark air beside the breast. Send the "
        "original image."
    ),
    "not-mammogram-edge": N_(
        "This does not look like a mammogram: there is no outline in it, only a gradual change of "
        "brightness. Send the original image."
    ),
    "not-mammogram-regions": N_(
        "This does not look like a mammogram: it has several bright regions instead of one breast. Send "
        "the original image."
    ),
    "not-mammogram-texture": N_(
        "This does not look like a mammogram: its bright region is flat, without the texture of tissue. "
        "Send the original image."
    ),
    "image-inverted": N_(
        "The picture seems to be inverted (dark breast on a bright background): the answer is worthless."
    ),
    "low-resolution": N_(
        "Low resolution (%(width)d x %(height)d pixels): small calcifications cannot be seen."
    ),
    "coloured-marks": N_("The picture has coloured parts, such as marks drawn into it."),
    "low-contrast": N_("Low contrast: the picture uses a small part of the grey scale."),
    "bright-background": N_(
        "The background is brighter than air usually is; make sure that this is a mammogram."
    ),
    "saturated": N_("Bright parts are saturated: details in dense tissue are lost."),
    "breast-not-at-edge": N_(
        "The breast touches no edge of the picture: it has a margin, or parts of the breast are cut off."
    ),
    "unusual-shape": N_("The picture is unusually long and narrow."),
    "image-not-storable": N_("The picture cannot be stored as PNG. Export it as an 8 or 16-bit grey image."),
}
