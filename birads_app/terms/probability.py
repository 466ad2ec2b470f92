"""Probabilities as text, the same on pages and in DICOM objects."""


def percent(value: float) -> str:
    """Return a probability, 0..1, as a percentage that never rounds doubt away: 0.999 is not 100%."""
    if 0.0 < value < 0.01:
        return "<1%"
    if 0.99 < value < 1.0:
        return ">99%"
    return f"{100 * value:.0f}%"
