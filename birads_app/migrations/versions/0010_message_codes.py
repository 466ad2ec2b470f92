"""Messages stored with exams and deliveries: a code in place of the English text

The tables below are those of the release before; they are not to follow the catalogue.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_ROWS_AT_ONCE = 1000
_COLUMNS = (("images", "warnings"), ("exams", "failure"), ("deliveries", "error"))
_JOINED = re.compile(r"%\(s1\)s(?:(?P<between>[ \n])%\(s\d+\)s)*")

_NOT_A_MAMMOGRAM = "This does not look like a mammogram: %(reason)s. Send the original image."
_REASONS = {
    "not-mammogram-noise": ("it is noise"),
    "not-mammogram-fine-lines": ("it is full of fine lines or dots, like text, a drawing or a test pattern"),
    "not-mammogram-background": ("it has no dark background, as air around a breast is"),
    "not-mammogram-air": ("there is no quiet, dark air beside the breast"),
    "not-mammogram-edge": ("there is no outline in it, only a gradual change of brightness"),
    "not-mammogram-regions": ("it has several bright regions instead of one breast"),
    "not-mammogram-texture": ("its bright region is flat, without the texture of tissue"),
}
_TEXTS = {
    "accepted-formats": ("Accepted are DICOM, PNG, JPEG, TIFF, BMP and PGM."),
    "not-dicom-despite-name": ("Its name ends in .dcm, but it holds no DICOM."),
    "pdf-document": ("This is a PDF document."),
    "zip-archive": ("This is a ZIP archive or an office document; unpack it and send the images in it."),
    "gzip-archive": ("This is a gzip archive; unpack it and send the images in it."),
    "seven-zip-archive": ("This is a 7-Zip archive; unpack it and send the images in it."),
    "rar-archive": ("This is a RAR archive; unpack it and send the images in it."),
    "gif-image": ("This is a GIF picture."),
    "riff-file": ("This is a RIFF file, such as WebP or AVI."),
    "bare-jpeg-2000": ("This is a JPEG 2000 picture outside of DICOM."),
    "numpy-array": ("This is a NumPy array."),
    "ppm-image": ("This is a colour picture (PPM)."),
    "windows-program": ("This is a Windows program."),
    "elf-program": ("This is a program."),
    "text-file": ("This is a text file."),
    "unknown-format": ("The file's format is not known."),
    "out-of-memory": ("There is not enough memory to read this file."),
    "file-damaged": ("The file contradicts itself: it is damaged. Export it again."),
    "file-empty": ("The file is empty. It may not have been exported or copied completely."),
    "view-estimated": ("%(judged)s was judged from the image; the file does not say."),
    "header-damaged": ("The %(source)s file's header is damaged. Export it again."),
    "decoding-failed": (
        "The %(source)s file cannot be decoded: it was cut off or is damaged. Export it again."
    ),
    "tiff-multiple-pages": ("The TIFF file has several pages. Save every view as a file of its own."),
    "tiff-planar-colour": ("The TIFF file keeps colours of 16 bits apart. Save the image in grey."),
    "transparency-dropped": ("The picture has transparent parts; they were taken as black."),
    "bits-inferred": (
        "The file's values fill %(bits)d of 16 bits; it was read as an image of %(bits)d bits."
    ),
    "values-not-finite": ("The picture has values that are no numbers. Export whole numbers of 16 bits."),
    "values-stretched": (
        "The file has %(bits)d-bit values from %(low)s to %(high)s; they were stretched to the grey scale."
    ),
    "image-without-pixels": ("The file declares a picture of %(width)d x %(height)d pixels, which is none."),
    "image-too-large": (
        "The file declares %(width)d x %(height)d pixels; at most %(megapixels)d megapixels are read. Send "
        "the original mammogram, not an enlargement."
    ),
    "squared-image-too-large": (
        "The file's pixels are not square; with square ones the image has %(width)d x %(height)d, and at most"
        " %(megapixels)d megapixels are read. Send an image with square pixels."
    ),
    "volume-too-large": (
        "The file declares %(slices)d slices of %(width)d x %(height)d pixels; at most %(megapixels)d "
        "megapixels are read. Send the two-dimensional image."
    ),
    "raster-too-large": (
        "The file declares more than %(megapixels)d megapixels. Send the original mammogram, not an "
        "enlargement."
    ),
    "image-too-small": (
        "The picture has only %(width)d x %(height)d pixels; at least %(needed)d a side are needed."
    ),
    "image-too-narrow": (
        "The picture is a narrow strip of %(width)d x %(height)d pixels, which shows no breast."
    ),
    "image-in-colour": ("The picture is in colour, as no mammogram is. Send the original image."),
    "image-blank": ("The picture is empty: nearly all of its pixels have the same brightness."),
    "image-inverted": (
        "The picture seems to be inverted (dark breast on a bright background): the answer is worthless."
    ),
    "low-resolution": (
        "Low resolution (%(width)d x %(height)d pixels): small calcifications cannot be seen."
    ),
    "coloured-marks": ("The picture has coloured parts, such as marks drawn into it."),
    "low-contrast": ("Low contrast: the picture uses a small part of the grey scale."),
    "bright-background": (
        "The background is brighter than air usually is; make sure that this is a mammogram."
    ),
    "saturated": ("Bright parts are saturated: details in dense tissue are lost."),
    "breast-not-at-edge": (
        "The breast touches no edge of the picture: it has a margin, or parts of the breast are cut off."
    ),
    "unusual-shape": ("The picture is unusually long and narrow."),
    "image-not-storable": ("The picture cannot be stored as PNG. Export it as an 8 or 16-bit grey image."),
    "dicom-frames-mismatch": (
        "The header declares %(count)d frames, but the pixel data has %(fragments)d parts that make up "
        "%(groups)d: the file is damaged. Export it again."
    ),
    "for-processing": (
        "The image is FOR PROCESSING (raw detector values). It was shown by its logarithm, which cannot "
        "replace the manufacturer's processing: send the FOR PRESENTATION image where there is one."
    ),
    "no-window": ("The file has no window; the whole range of its values was used."),
    "window-ignored": (
        "The file's window hides the picture; the whole range of its values was used instead."
    ),
    "no-preamble": (
        "The file has no DICOM preamble, which is a fault of what exported it; it was read all the same."
    ),
    "repeated-preamble": (
        "The file has its DICOM file header twice, a fault of what exported it; it was read all the same."
    ),
    "dicom-no-image": ("The DICOM file has no pixels (%(kind)s). Send the images of the exam."),
    "dicom-cut-off": ("The DICOM file ends after its first lines: it was cut off. Export it again."),
    "deflated-too-large": (
        "The deflated file holds more than %(mebibytes)d MiB. Send the original mammogram."
    ),
    "deflated-cut-off": ("The deflated file ends early: it was cut off. Export it again."),
    "deflated-damaged": ("The deflated file cannot be inflated: it is damaged. Export it again."),
    "dicom-multi-frame": ("This is a multi-frame object (%(frames)s frames). Send single images."),
    "quality-control-image": ("This is a quality control image, as its header says: it shows no breast."),
    "wrong-modality": ("The header says that the modality is %(modality)s, not MG (mammography)."),
    "wrong-body-part": ("The header says that this image shows %(part)s, not a breast."),
    "float-pixels": ("The DICOM file has floating point pixels, which no mammogram has."),
    "no-pixel-data": (
        "The DICOM file has no pixel data: it ends after the header. It was cut off, or exported without "
        "pixels. Export it again."
    ),
    "dicom-no-pixels": ("The DICOM file has no pixels. Send the images of the exam."),
    "too-many-elements": ("The DICOM header has more elements than any image's; the file is damaged."),
    "header-cut-off": ("The DICOM header ends early: it was cut off. Export it again."),
    "element-cut-off": (
        "The DICOM element %(tag)s declares %(length)d bytes, but the file has only %(left)d more: it was cut"
        " off or is damaged. Export it again."
    ),
    "fragment-cut-off": (
        "The compressed pixel data declares a part of %(length)d bytes where %(left)d are left: the file was "
        "cut off or is damaged. Export it again."
    ),
    "export-as-supported": ("Export it uncompressed or as JPEG Lossless, JPEG-LS, JPEG 2000 or RLE."),
    "no-frame-header": ("The compressed pixel data has no frame header; the file is damaged."),
    "frame-header-damaged": ("The header of the compressed pixel data is damaged. Export the file again."),
    "dicom-in-colour": (
        "The DICOM image is in colour (Photometric Interpretation %(colours)s). Mammograms are MONOCHROME1 or"
        " MONOCHROME2."
    ),
    "bits-not-supported": ("The DICOM image has %(allocated)d bits allocated; 8 or 16 are read."),
    "bits-contradictory": (
        "The DICOM header contradicts itself: bits allocated %(allocated)d, stored %(stored)d, high bit "
        "%(high)d."
    ),
    "transfer-syntax-not-supported": ("The transfer syntax %(syntax)s is not read. %(advice)s"),
    "transfer-syntax-wrong": ("The pixel data is not encoded as %(syntax)s, as the header says."),
    "frame-cut-off": ("The compressed picture has no end: it was cut off. Export it again."),
    "decoded-size-mismatch": ("The decompressed picture has another size than the DICOM header says."),
    "pixel-data-short": (
        "The pixel data ends early: %(given)d of %(needed)d bytes are there. The file was cut off. Export it "
        "again."
    ),
    "precision-mismatch": ("The pixel data has %(precision)d bits, the header declares %(allocated)d."),
    "jpeg-process-not-supported": ("JPEG of kind %(kind)s with %(precision)d bits is not read. %(advice)s"),
    "frame-size-mismatch": (
        "The compressed picture has %(columns)d x %(rows)d pixels and %(components)d components, the DICOM "
        "header declares %(expected_columns)d x %(expected_rows)d and 1. The file is damaged."
    ),
    "decompression-failed": (
        "The pixel data (%(syntax)s) cannot be decompressed: it was cut off or is damaged. Export it again."
    ),
    "header-value-unusable": ("The DICOM header has no usable %(keyword)s; the file is damaged."),
    "tomosynthesis-projected": (
        "This is a tomosynthesis volume. The brightest value of its %(count)d slices at each place was read, "
        "which the model was not trained for: send the two-dimensional or synthetic 2D image where there is "
        "one."
    ),
    "tomosynthesis-refused": (
        "This is a breast tomosynthesis volume of %(count)d slices, which is not read here "
        "(BIRADS_TOMOSYNTHESIS is refuse). Send the exam's two-dimensional or synthetic 2D images."
    ),
    "implant-displaced": (
        "The implant was pushed back for this view (implant displaced), as the file says; the model was not "
        "trained for implants."
    ),
    "implant": ("The breast has an implant, as the file says; the model was not trained for implants."),
    "magnification-view": ("This is a magnification view; the model knows standard views only."),
    "spot-compression-view": ("This is a spot compression view; the model knows standard views only."),
    "partial-view": ("The file says that it shows only a part of the breast."),
    "burned-in-text": ("The file says that text is burnt into the image; it may identify the patient."),
    "overlay-not-shown": ("The file has an overlay (marks kept apart from the image), which is not shown."),
    "pixels-not-square": (
        "The file's pixels are not square; the image was enlarged in one direction to its true shape."
    ),
    "aspect-ratio-ignored": (
        "The file gives its pixels a shape that no mammogram has; the image is shown as it is stored, perhaps"
        " distorted, and nothing in it can be measured."
    ),
    "other-patient": (
        "Its Patient ID is another than that of the files before it: an exam is of one patient. Send each "
        "patient's images apart."
    ),
    "model-missing": (
        "No model is installed. Train one with `flask train --data DIR --name NAME --promote`, or promote one"
        " with `flask models promote NAME`."
    ),
    "out-of-distribution": (
        "The image is unlike those that the model learned from, more so than nearly all mammograms it was "
        "tried on: do not trust the answer, however sure it looks."
    ),
    "graphs-unreadable": ("The graphs of model %(name)s cannot be read: %(reason)s. Retrain it."),
    "no-files": ("No file was received. Choose at least one image."),
    "archive-too-many-files": ("The archive %(name)s holds %(count)d files; %(most)d may come together."),
    "archive-encrypted": ("The archive %(name)s is encrypted. Pack the images without a password."),
    "archive-file-too-large": ("A file in the archive %(name)s has more than 1 GiB unpacked."),
    "archive-damaged": ("The archive %(name)s is damaged. Pack the images again."),
    "archive-file-damaged": ("A file in the archive %(name)s is damaged. Pack the images again."),
    "image-file-missing": ("The file of this image is missing from the instance folder."),
    "image-encoding-failed": ("The picture could not be encoded for display."),
    "wrong-site-key": (
        "This was sealed under another site key. Put back the file `site-key` or BIRADS_SITE_KEY of the "
        "server that stored it."
    ),
    "server-unreachable": ("%(server)s cannot be reached. Check address, user and password."),
    "server-http-error": (
        "%(server)s answered with HTTP status %(status)d. Check address, user and password."
    ),
    "server-certificates-unusable": ("%(server)s or its certificates cannot be used: %(reason)s."),
    "server-not-dicomweb": ("%(server)s gave an answer that is not DICOMweb's. Check the address."),
    "no-study-for-results": ("The exam's files name no study which its results could join."),
    "stored-picture-damaged": ("A picture of the exam in the instance folder is damaged."),
    "node-unreachable": (
        "%(node)s cannot be reached, or ended the association. Check host, port, TLS, and that it runs."
    ),
    "node-refused-object": ("%(node)s refused an object with status %(status)s; its log says why."),
    "server-refused-object": ("%(server)s refused an object with HTTP status %(status)d; its log says why."),
    "node-untrusted": (
        "%(node)s has a certificate that is not trusted (%(reason)s). Check the certificate there, and "
        "BIRADS_PACS_TLS_AUTHORITIES here."
    ),
    "node-rejected-association": (
        "%(node)s rejected the association: %(reason)s. Check both AE titles at the destination."
    ),
    "node-classes-not-stored": ("%(node)s does not store objects of these classes."),
    "node-class-not-stored": ("%(node)s does not store objects of the class %(sop_class)s."),
    "node-aborted": ("%(node)s ended the association before it answered."),
    "tls-certificates-unreadable": ("The TLS certificates of the destination cannot be read: %(reason)s."),
    "server-untrusted": ("%(server)s has a certificate that is not trusted."),
    "server-connection-failed": ("%(server)s cannot be reached: %(reason)s."),
    "uids-missing": ("It names neither study nor instance."),
    "exam-files-missing": ("Files of the exam are missing from the instance folder."),
    "results-not-written": ("The results cannot be written; the log says where."),
}
_CODES = {text: code for code, text in _TEXTS.items()}
_REASON_CODES = {text: code for code, text in _REASONS.items()}


def upgrade() -> None:
    _rewrite("text", _coded)


def downgrade() -> None:
    _rewrite("code", _worded)


def _rewrite(key: str, change: Callable[[Any], Any]) -> None:
    """Change all messages that are stored as objects with this key, a thousand rows at once."""
    connection = op.get_bind()
    for table, column in _COLUMNS:
        last = 0
        page = sa.text(
            f"SELECT rowid, {column} FROM {table} WHERE rowid > :last AND instr({column}, :key) ORDER BY rowid "
            f"LIMIT {_ROWS_AT_ONCE}"
        )
        update = sa.text(f"UPDATE {table} SET {column} = :value WHERE rowid = :row")
        while rows := connection.execute(page, {"last": last, "key": f'{{"{key}": '}).all():
            changed = [{"row": row, "value": _changed(value, change)} for row, value in rows]
            connection.execute(update, changed)
            last = rows[-1][0]


def _changed(stored: str, change: Callable[[Any], Any]) -> str:
    """Change a column's value: a list of messages, one message, or plain text, which stays as it is."""
    try:
        found = json.loads(stored)
    except ValueError:
        return stored
    made = [change(one) for one in found] if isinstance(found, list) else change(found)
    return made if isinstance(made, str) else json.dumps(made)


def _coded(message: Any) -> Any:
    """Turn text and values to code and values; plain text where the text is unknown."""
    if not isinstance(message, dict) or "text" not in message:
        return message
    template, values = message["text"], message["values"]
    if joined := _JOINED.fullmatch(template):
        code = "joined-lines" if joined["between"] == "\n" else "joined"
        numbered = {str(number): _coded(value) for number, value in enumerate(values.values(), 1)}
        return {"code": code, "values": numbered}
    if template == _NOT_A_MAMMOGRAM and isinstance(values.get("reason"), dict):
        known, values = _REASON_CODES.get(values["reason"]["text"]), {}
    else:
        known = _CODES.get(template)
    if known is None:
        return _english(message)
    return {"code": known, "values": {name: _coded(value) for name, value in values.items()}}


def _english(message: Any) -> Any:
    """Put the values into the text."""
    if not isinstance(message, dict):
        return message
    values = {name: _english(value) for name, value in message["values"].items()}
    return message["text"] % values if values else message["text"]


def _worded(message: Any) -> Any:
    """Turn code and values to text and values; the code itself where it is of a later release."""
    if not isinstance(message, dict) or "code" not in message:
        return message
    code, values = message["code"], {name: _worded(value) for name, value in message["values"].items()}
    if code in ("joined", "joined-lines"):
        between = "\n" if code == "joined-lines" else " "
        named = {f"s{number}": value for number, value in values.items()}
        return {"text": between.join(f"%({name})s" for name in named), "values": named}
    if code in _REASONS:
        return {"text": _NOT_A_MAMMOGRAM, "values": {"reason": {"text": _REASONS[code], "values": {}}}}
    return {"text": _TEXTS[code], "values": values} if code in _TEXTS else code
