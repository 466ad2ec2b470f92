"""DICOM files: header, pixel data, presentation and view."""
