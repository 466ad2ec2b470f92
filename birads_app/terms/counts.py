"""Counts in the English of commands, logs and reports of trainings; pages use gettext."""


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 exam``, ``0 exams``; ``plural`` if it does not end in s."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def images_of(images: int, patients: int) -> str:
    """Return two counts with their nouns: ``4 images of 1 patient``."""
    return f"{counted(images, 'image')} of {counted(patients, 'patient')}"
