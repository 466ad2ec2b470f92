"""The hospital's network: receive, fetch and send DICOM objects."""
