"""Practice audit: readers compared with the model and with outcomes. ``docs/practice.md`` defines every metric."""
