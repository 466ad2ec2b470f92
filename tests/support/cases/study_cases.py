"""Cases of patients and studies."""

from collections.abc import Callable, Iterator
from functools import partial

from pydicom.uid import generate_uid

from tests.support.case_site import CaseSite
from tests.support.cases.case import Case, four, image
from tests.support.dicomweb_archive import Archive

Patient = dict[str, object]


def study_cases() -> Iterator[Case]:
    """Cases in the order of the table."""
    yield from _patients()
    yield Case(
        "fetch of five studies, one instance of the second answers 404",
        "4 exams; study 2 incomplete: HTTP status 404; fetched whole next time",
        partial(_fetched, _without, "HTTP status 404"),
    )
    for given, change, said in (
        ("another study's instance", _from_other_study, "another object"),
        ("half of an object", _half, "is cut off"),
    ):
        right = f"4 exams; study 2 incomplete: {said}; fetched whole next time"
        yield Case(
            f"fetch of five studies, the second returns {given}",
            right,
            partial(_fetched, change, said),
            slow=True,
        )
    yield Case(
        "C-STORE of two different images under one SOP Instance UID",
        "exam of 2 images, needs attention",
        _one_uid,
        slow=True,
    )
    yield Case("API POST with images of two studies", "2 exams of 2 and 2 images", partial(_two_studies, 2))
    yield Case(
        "API POST with one image of each of two studies of one patient",
        "2 exams of 1 and 1 images",
        partial(_two_studies, 1),
        slow=True,
    )
    yield Case("the same study again", "exam of 4 images, related: same", partial(_again, 4))
    yield Case(
        "a study again, with one image fewer",
        "exam of 3 images, related: more",
        partial(_again, 3),
        slow=True,
    )


def _patients() -> Iterator[Case]:
    emergency, known = {"PatientID": "NOTFALL-7"}, {"PatientID": "4711"}
    no_id = {"PatientID": "", "PatientBirthDate": "19600101"}
    with_id = {"PatientID": "4711", "PatientBirthDate": "19610101"}
    rows: tuple[tuple[str, str, str, Patient, Patient], ...] = (
        (
            "C-STORE of four views, the CC under patient ID NOTFALL-7 and the MLO under 4711",
            "patient ID; NOTFALL-7 and 4711 on record",
            "patient_id",
            emergency,
            known,
        ),
        (
            "C-STORE of one study, no ID and one birth date, then ID and another birth date",
            "date of birth; 19600101 and 19610101 on record",
            "birth_date",
            no_id,
            with_id,
        ),
        (
            "C-STORE of one study under two names",
            "name; Doe^Jane and Roe^Jane on record",
            "patient_name",
            known | {"PatientName": "Doe^Jane"},
            known | {"PatientName": "Roe^Jane"},
        ),
    )
    for number, (given, said, field, first, second) in enumerate(rows):
        right = f"1 exam of 4 images, needs attention: {said}"
        yield Case(
            given, right, partial(_contradictory, (first, first, second, second), field), slow=number > 1
        )


def _contradictory(patients: tuple[Patient, ...], field: str, site: CaseSite) -> str:
    study = generate_uid()
    sent = [image(number, StudyInstanceUID=study, **patient) for number, patient in enumerate(patients)]
    exams = site.store(study, *sent)
    (reason,) = exams[0]["attention"]
    named = reason.partition("differ in: ")[2].partition(".")[0]
    recorded = " and ".join(getattr(version, field) for version in site.patients(exams[0]))
    images = len(exams[0]["images"])
    return f"{len(exams)} exam of {images} images, needs attention: {named}; {recorded} on record"


def _one_uid(site: CaseSite) -> str:
    study = generate_uid()
    sent = [image(number, StudyInstanceUID=study, SOPInstanceUID=f"{study[:50]}.1") for number in range(2)]
    (exam,) = site.store(study, *sent)
    return f"exam of {len(exam['images'])} images{', needs attention' * exam['needs_attention']}"


def _without(archive: Archive, studies: list[str]) -> None:
    archive.failing[f"{studies[1]}.1"] = 404


def _from_other_study(archive: Archive, studies: list[str]) -> None:
    archive.objects[studies[1]][f"{studies[1]}.1"] = archive.objects[studies[2]][f"{studies[2]}.1"]


def _half(archive: Archive, studies: list[str]) -> None:
    whole = archive.objects[studies[1]][f"{studies[1]}.1"]
    archive.objects[studies[1]][f"{studies[1]}.1"] = whole[: len(whole) // 2]


def _fetched(fail: Callable[[Archive, list[str]], None], phrase: str, site: CaseSite) -> str:
    """Fetch five studies from a server that fails for the second one, then again from one that does not."""
    studies = [generate_uid()[:50] for _ in range(5)]
    objects = {study: {f"{study}.{number}": _view(study, number) for number in range(2)} for study in studies}
    failing = Archive({study: dict(found) for study, found in objects.items()})
    fail(failing, studies)
    first, exams = site.fetch(failing)
    (failed,) = [studies.index(study) + 1 for study in first.failures]
    (reason,) = first.failures.values()
    said = phrase if phrase in reason else reason
    again, all_exams = site.fetch(Archive(objects))
    whole = not again.failures and [len(exam["images"]) for exam in all_exams] == [2] * 5
    later = "fetched whole" if whole else "fetched in part"
    return f"{len(exams)} exams; study {failed} incomplete: {said}; {later} next time"


def _view(study: str, number: int) -> bytes:
    return image(
        number,
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.9",
        SOPInstanceUID=f"{study}.{number}",
        PatientID=study[-8:],
    )


def _two_studies(count: int, site: CaseSite) -> str:
    sent = [one for _ in range(2) for one in four(generate_uid())[:count]]
    exams = site.exams(*sent)
    return f"{len(exams)} exams of {' and '.join(str(len(exam['images'])) for exam in exams)} images"


def _again(count: int, site: CaseSite) -> str:
    """Send a study of four images, then some of them once more."""
    views = four(generate_uid())
    site.exams(*views)
    (exam,) = site.exams(*views[:count])
    relations = ", ".join(one["relation"] for one in exam["related"])
    return f"exam of {len(exam['images'])} images, related: {relations}"
