"""Connection to the PACS: receive, fetch and send DICOM objects."""
