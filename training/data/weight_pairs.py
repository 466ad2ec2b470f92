"""Weights by name in a text, such as ``4=2,5=3``."""

import re

_PAIR = re.compile(r"\s*([^=]+?)\s*=\s*(\d+(?:\.\d+)?)\s*")


def read(text: str) -> dict[str, float] | None:
    """Read pairs of name and weight, separated by commas; None for other texts, weights of 0 and repeated names."""
    found = [_PAIR.fullmatch(part) for part in text.split(",")]
    pairs = {match[1]: float(match[2]) for match in found if match}
    return pairs if len(pairs) == len(found) and all(pairs.values()) else None
