"""Store an exam without a model."""

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records import exams, files, identities, users
from birads_app.records.identities import Identity
from birads_app.records.schema import Exam, Image
from tests.support.factories import breast

ORIGINAL = b"the original"


def store(
    exam_id: str = "e" * 32, name: str = "Secretname^Jane", uploader: str = "reader", image_id: str = ""
) -> Exam:
    """Store an exam of one picture, and a patient's identity."""
    reader = users.by_name(uploader)
    exam = Exam(id=exam_id, uploader_id=reader.id, model="m", demonstration=True, pooling="mean")
    image = Image(
        role="standard", id=image_id or "a" * 31 + exam_id[-1], position=0, filename="left.png", source="PNG",
        prediction=ImagePrediction("4", {"4": 0.75, "1": 0.25}, warnings=()), width=160, height=200,
    )  # fmt: skip
    exam.images.append(image)
    identities.attach(exam, Identity(patient_name=name, patient_id="ID-4711"))
    draft = files.open_draft()
    files.write_original(draft / image.id, "PNG", (ORIGINAL,))
    files.write_previews(draft / image.id, files.reduced(breast(200, 160), files.DISPLAY_MAX))
    stored = exams.store(exam, draft, reader)
    files.keep(exam.id, [image.id])
    return stored
