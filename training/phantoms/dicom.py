"""Phantoms as DICOM files: Digital Mammography X-Ray Image Storage - For Presentation, 12 bits."""

import io

from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    UID,
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    generate_uid,
)

from training.phantoms.anatomy import VIEWS
from training.phantoms.image import LATERALITIES, WHITE, Phantom

# Height of the detector's field in millimetres, which gives the pixel spacing.
_FIELD_HEIGHT = 300.0
# CID 4014 View for Mammography: code value and meaning, SNOMED CT.
_VIEW_CODES = {"CC": ("399162004", "cranio-caudal"), "MLO": ("399368009", "medio-lateral oblique")}
# A fixed date, so that the same seed gives the same bytes.
_DATE, _TIME = "20200101", "120000"


def encode_dicom(image: Phantom, patient: str, seed: int) -> bytes:
    """Encode as a Part 10 file, Explicit VR Little Endian, uncompressed.

    Parameters
    ----------
    patient : Patient ID (0010,0020)
    seed : seed of the set; the UIDs are derived from it, the patient, the side and the view
    """
    uid = _uid(seed, patient, image.laterality, image.view)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = _uid("implementation")
    buffer = io.BytesIO()
    dataset = FileDataset(buffer, {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = meta.MediaStorageSOPClassUID, uid
    _describe_patient(dataset, patient, seed)
    _describe_view(dataset, image)
    _describe_pixels(dataset, image)
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def _uid(*parts: object) -> UID:
    """Derive a UID that is unique to the parts."""
    return generate_uid(entropy_srcs=["phantom", *map(str, parts)])


def _describe_patient(dataset: Dataset, patient: str, seed: int) -> None:
    """Set the modules Patient, General Study, General Series and General Equipment."""
    dataset.PatientID, dataset.PatientName = patient, f"Phantom^{patient}"
    dataset.PatientBirthDate, dataset.PatientSex = "", "F"
    dataset.StudyInstanceUID = _uid(seed, patient, "study")
    dataset.SeriesInstanceUID = _uid(seed, patient, "series")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = _DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = _TIME
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyID = "", "", "1"
    dataset.StudyDescription, dataset.SeriesDescription = "Synthetic mammograms", "Phantoms"
    dataset.SeriesNumber, dataset.Modality = 1, "MG"
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.Manufacturer, dataset.ManufacturerModelName = "Synthetic", "Phantom generator"


def _describe_view(dataset: Dataset, image: Phantom) -> None:
    """Set the modules DX Anatomy Imaged and Mammography Image: laterality and view."""
    left = image.laterality == "L"
    number = LATERALITIES.index(image.laterality) * len(VIEWS) + VIEWS.index(image.view) + 1
    dataset.InstanceNumber = number
    dataset.ImageType = ["DERIVED", "PRIMARY"]
    dataset.ImageLaterality, dataset.ViewPosition = image.laterality, image.view
    dataset.ViewCodeSequence = Sequence([_code(*_VIEW_CODES[image.view])])
    dataset.ViewCodeSequence[0].ViewModifierCodeSequence = Sequence([])
    dataset.AnatomicRegionSequence = Sequence([_code("76752008", "Breast")])
    # In the image a left breast points to the right: along a row, from posterior to anterior.
    across = "A" if left else "P"
    if image.view == "CC":
        dataset.PatientOrientation = [across, "R" if left else "L"]
    else:
        dataset.PatientOrientation = [across, "FR" if left else "FL"]
    dataset.OrganExposed, dataset.PositionerType = "BREAST", "MAMMOGRAPHIC"
    dataset.DetectorType, dataset.AcquisitionContextSequence = "", Sequence([])
    dataset.BodyPartExamined, dataset.BreastImplantPresent = "BREAST", "NO"
    dataset.BurnedInAnnotation, dataset.QualityControlImage = "NO", "NO"


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _describe_pixels(dataset: Dataset, image: Phantom) -> None:
    """Set the modules Image Pixel and VOI LUT."""
    rows, columns = image.pixels.shape
    spacing = round(_FIELD_HEIGHT / rows, 6)
    dataset.Rows, dataset.Columns = rows, columns
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.ImagerPixelSpacing = dataset.PixelSpacing = [spacing, spacing]
    dataset.PixelIntensityRelationship, dataset.PixelIntensityRelationshipSign = "LOG", 1
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = 0, 1, "US"
    dataset.PresentationLUTShape, dataset.LossyImageCompression = "IDENTITY", "00"
    dataset.WindowCenter, dataset.WindowWidth = (WHITE + 1) // 2, WHITE + 1
    dataset.VOILUTFunction = "LINEAR"
    dataset.PixelData = image.pixels.astype("<u2").tobytes()
