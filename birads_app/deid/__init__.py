"""De-identification of files on their way in."""
