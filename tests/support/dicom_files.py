"""DICOM files for tests, in every transfer syntax."""

import io
from pathlib import Path

import cv2
import gdcm
import imagecodecs
import numpy as np
from openjpeg.utils import encode_array as encode_jpeg_2000
from PIL import Image
from pydicom import dcmread, dcmwrite, uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

HTJ2K = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
MAMMOGRAPHY = uid.DigitalMammographyXRayImageStorageForPresentation


def picture(bits: int = 12, rows: int = 37, columns: int = 54) -> np.ndarray:
    """Draw smooth shapes with grain over the full range of ``bits``."""
    random = np.random.default_rng(bits)
    smooth = cv2.GaussianBlur(random.normal(size=(rows, columns)), (0, 0), 4)
    scaled = (smooth - smooth.min()) / np.ptp(smooth) * ((1 << bits) - 1)
    scaled[0, :2] = 0, (1 << bits) - 1
    return scaled.astype(np.uint8 if bits <= 8 else np.uint16)


def dataset(raw: np.ndarray | None, **elements: object) -> Dataset:
    """An uncompressed mammogram's data set.

    Parameters
    ----------
    raw : array of shape (rows, columns), uint8, uint16 or int16, as it is to be stored; None for no pixels
    elements : further elements by keyword; None removes one
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MAMMOGRAPHY
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    built = Dataset()
    built.file_meta = meta
    built.SOPClassUID, built.SOPInstanceUID, built.Modality = MAMMOGRAPHY, "1.2.3.4", "MG"
    if raw is not None:
        bits = 8 * raw.dtype.itemsize
        built.Rows, built.Columns = raw.shape
        built.SamplesPerPixel, built.PhotometricInterpretation = 1, "MONOCHROME2"
        built.BitsAllocated, built.BitsStored, built.HighBit = bits, bits, bits - 1
        built.PixelRepresentation = int(raw.dtype.kind == "i")
        data = raw.tobytes()
        built.add_new("PixelData", "OW" if bits == 16 else "OB", data + bytes(len(data) % 2))
    for keyword, value in elements.items():
        if value is None:
            del built[keyword]
        else:
            setattr(built, keyword, value)
    return built


def as_bytes(built: Dataset, syntax: str = uid.ExplicitVRLittleEndian) -> bytes:
    """Write a data set as a Part 10 file; with a compressed syntax its pixel data must be encapsulated."""
    built.file_meta.TransferSyntaxUID = uid.UID(syntax)
    stream = io.BytesIO()
    implicit = syntax == uid.ImplicitVRLittleEndian
    little = syntax != uid.ExplicitVRBigEndian
    if not little and built.BitsAllocated == 16:
        built["PixelData"].value = np.frombuffer(built.PixelData, "<u2").astype(">u2").tobytes()
    dcmwrite(stream, built, implicit_vr=implicit, little_endian=little, enforce_file_format=True)
    return stream.getvalue()


def mammogram(raw: np.ndarray, **elements: object) -> bytes:
    """An uncompressed file; parameters as in :func:`dataset`."""
    return as_bytes(dataset(raw, **elements))


def encapsulated(frame: bytes, built: Dataset, syntax: str, fragments: int = 1) -> bytes:
    """A file with the given codestream as its only frame."""
    built.PixelData = encapsulate([frame], fragments_per_frame=fragments)
    built["PixelData"].VR = "OB"
    built["PixelData"].is_undefined_length = True
    return as_bytes(built, syntax)


def compressed(raw: np.ndarray, syntax: str, folder: Path, **elements: object) -> bytes:
    """Write a file in a compressed transfer syntax, if possible with another library than the one that reads it."""
    built = dataset(raw, **elements)
    if syntax in (uid.JPEGLossless, uid.JPEGLosslessSV1):
        return _by_gdcm(built, syntax, folder)
    if syntax in (uid.RLELossless, uid.JPEGLSLossless, uid.JPEGLSNearLossless):
        built.compress(syntax, encoding_plugin="pydicom" if syntax == uid.RLELossless else "pyjpegls")
        return as_bytes(built, syntax)
    if syntax in (uid.JPEG2000Lossless, uid.JPEG2000):
        lossy = {"compression_ratios": [4.0]} if syntax == uid.JPEG2000 else {}
        frame = encode_jpeg_2000(raw, bits_stored=built.BitsStored, **lossy)
        return encapsulated(frame, built, syntax)
    if syntax in HTJ2K:
        lossy = {"reversible": False, "level": 0.0002} if syntax == uid.HTJ2K else {}
        return encapsulated(bytes(imagecodecs.htj2k_encode(raw, **lossy)), built, syntax)
    if raw.dtype == np.uint16:
        frame = imagecodecs.jpeg8_encode(raw, level=98, bitspersample=built.BitsStored)
        return encapsulated(bytes(frame), built, syntax)
    stream = io.BytesIO()
    Image.fromarray(raw).save(stream, "JPEG", quality=98)
    return encapsulated(stream.getvalue(), built, syntax)


def _by_gdcm(built: Dataset, syntax: str, folder: Path) -> bytes:
    before, after = folder / "before.dcm", folder / "after.dcm"
    before.write_bytes(as_bytes(built))
    reader, change, writer = gdcm.ImageReader(), gdcm.ImageChangeTransferSyntax(), gdcm.ImageWriter()
    reader.SetFileName(str(before))
    assert reader.Read()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(str(syntax))))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer.SetFileName(str(after))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    assert dcmread(after).file_meta.TransferSyntaxUID == syntax
    return after.read_bytes()
