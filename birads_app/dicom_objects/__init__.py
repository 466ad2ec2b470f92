"""DICOM objects that carry results: structured reports and secondary captures."""
