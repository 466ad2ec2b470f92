"""DICOM beyond reading: identities taken out, objects written, and the network."""
