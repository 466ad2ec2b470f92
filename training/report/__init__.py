"""Model card, evaluation record and report page."""
