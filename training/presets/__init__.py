"""The demonstration model: training, data, comparison, model card."""
