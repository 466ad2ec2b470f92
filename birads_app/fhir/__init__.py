"""Reports as FHIR R4 resources."""
