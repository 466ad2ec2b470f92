"""How a practice reads: its readers beside the model and the outcomes. ``docs/practice.md`` defines every figure."""
