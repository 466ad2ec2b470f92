"""Database tables. Changes need a migration, which ``flask db revision`` drafts."""

from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Any

from flask_login import UserMixin
from sqlalchemy import (
    JSON,
    CheckConstraint,
    ColumnElement,
    Float,
    ForeignKey,
    Index,
    String,
    Text,
    and_,
    exists,
    text,
)
from sqlalchemy.ext.hybrid import hybrid_property
from sqlalchemy.orm import Mapped, mapped_column, relationship

from birads_app.imaging.placement import Placement
from birads_app.model.image_prediction import ImagePrediction
from birads_app.records.message_columns import MessageList, MessageText
from birads_app.records.placement_column import PlacementColumn
from birads_app.records.prediction_column import PredictionColumn
from birads_app.records.reading_tables import Withdrawal
from birads_app.records.table_base import Base, UtcDateTime
from birads_app.terms.views import ViewRole


class Role(StrEnum):
    """Role of an account: reads exams; reads and administers; or has read-only access to everything."""

    RADIOLOGIST = "radiologist"
    ADMIN = "admin"
    AUDITOR = "auditor"


class Status(StrEnum):
    """Status of an exam: unread, waiting for a second reading, read, without a usable image, or a retrieved prior."""

    NEW = "new"
    SECOND_LOOK = "second"
    READ = "read"
    FAILED = "failed"
    PRIOR = "prior"


class Removed(StrEnum):
    """Status of a deleted exam: in the bin, or erased, with nothing left but what the practice figures need."""

    BINNED = "binned"
    ERASED = "erased"


def _partial_index(name: str, *columns: str, where: str, unique: bool = False) -> Index:
    """Return an index of the rows for which a condition holds."""
    return Index(name, *columns, unique=unique, sqlite_where=text(where), postgresql_where=text(where))


def _parts(**options: Any) -> Any:
    """Return a relationship to the parts of a row, which are read for all rows at once and deleted with theirs."""
    return relationship(lazy="selectin", cascade="all, delete-orphan", passive_deletes=True, **options)


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


class User(UserMixin, Base):
    """An account.

    session_key : of sessions that could not be stored (:mod:`birads_app.records.user_sessions`); a new one ends them
    session_id : of the session in which this request was made; not a column
    enabled : False keeps an account's name on what it did, and its owner out
    language : of the pages, such as ``de``; None leaves it to the browser
    full_name, title : of the person, as reports are signed, such as ``Dr. Anna Berg``, ``Consultant radiologist``
    """

    __tablename__ = "users"
    __table_args__ = (CheckConstraint("role IN ('radiologist', 'admin', 'auditor')", name="role"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64, collation="NOCASE"), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    password_hash: Mapped[str] = mapped_column(String(255))
    session_key: Mapped[str] = mapped_column(String(64), unique=True)
    enabled: Mapped[bool] = mapped_column(server_default="1", default=True)
    language: Mapped[str | None] = mapped_column(String(8))
    full_name: Mapped[str] = mapped_column(String(64), server_default="", default="")
    title: Mapped[str] = mapped_column(String(64), server_default="", default="")
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    session_id = ""

    def get_id(self) -> str:
        """Return the id that Flask-Login stores in the cookie."""
        return self.session_id


class Exam(Base):
    """Images of one patient and study, and the model that read them.

    pooling : rule by which the views of a breast are pooled (:mod:`birads_app.model.aggregation`)
    pseudonym : of the patient; None if no file is DICOM
    study_uid, exam_date : from the stored DICOM files; None if not stated
    date_shifted : the date was moved to protect the patient
    status : a :class:`Status`, or :class:`Removed` once it is deleted
    category, top_probability : the exam's predicted category, and its probability in the index breast, 0..1;
        None without a prediction
    p_suspicious : probability of category 4 or higher in the more suspicious breast, 0..1; None likewise
    views : labels of the images in hanging order, such as ``R CC, L CC``; ``?`` if unknown
    failure : reason why it could not be read; empty otherwise
    assessed, assessed_at, assessor : category, time and reader of the last signed assessment; None if there is none
    viewer, viewed_at : account that has the exam open, and its last sign of activity
    objects_received : number of images that came, including unused ones; None for exams of earlier versions
    unused_objects : message for each image that was left out: its number or name, and the reason
    notes : messages about what came with the images
    attention : messages, each a reason why a person has to look at the exam; empty if there is none
    identity : of the patient, encrypted
    """

    __tablename__ = "exams"
    __table_args__ = (
        Index("ix_exams_status_created_at", "status", "created_at", "id"),
        Index("ix_exams_status_suspicion", "status", "suspicion", "id"),
        Index("ix_exams_status_exam_date", "status", "exam_date", "id"),
        Index("ix_exams_status_category", "status", "category", "created_at", "id"),
        Index("ix_exams_status_category_suspicion", "status", "category", "suspicion", "id"),
        Index("ix_exams_status_category_exam_date", "status", "category", "exam_date", "id"),
        Index("ix_exams_status_assessor_id", "status", "assessor_id", "created_at", "id"),
        Index("ix_exams_status_assessor_id_suspicion", "status", "assessor_id", "suspicion", "id"),
        Index("ix_exams_status_assessor_id_exam_date", "status", "assessor_id", "exam_date", "id"),
        _partial_index("ix_exams_date_shifted", "id", where="date_shifted"),
        Index("ix_exams_status_attention", "status", "created_at", "id",
              sqlite_where=text("attention != '[]'"), postgresql_where=text("(attention)::text != '[]'")),
    )  # fmt: skip

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    uploader_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    model: Mapped[str] = mapped_column(String(64))
    demonstration: Mapped[bool]
    pooling: Mapped[str] = mapped_column("rule", String(16), server_default="mean")
    pseudonym: Mapped[str | None] = mapped_column(String(16), index=True)
    study_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    exam_date: Mapped[date | None]
    date_shifted: Mapped[bool] = mapped_column(server_default="0", default=False)
    status: Mapped[str] = mapped_column(String(8), server_default=Status.NEW, default=Status.NEW)
    category: Mapped[str | None] = mapped_column(String(1))
    top_probability: Mapped[float | None] = mapped_column("certainty", Float)
    p_suspicious: Mapped[float | None] = mapped_column("suspicion", Float)
    views: Mapped[str] = mapped_column(String(255), server_default="", default="")
    failure: Mapped[str] = mapped_column(MessageText(500), server_default="", default="")
    assessed: Mapped[str | None] = mapped_column(String(2))
    assessed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    assessor_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    viewer_id: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    viewed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    objects_received: Mapped[int | None]
    unused_objects: Mapped[list[str]] = mapped_column(MessageList, server_default="[]", default=list)
    notes: Mapped[list[str]] = mapped_column(MessageList, server_default="[]", default=list)
    attention: Mapped[list[str]] = mapped_column(MessageList, server_default="[]", default=list)
    uploader: Mapped[User] = relationship(lazy="joined", innerjoin=True, foreign_keys=[uploader_id])
    assessor: Mapped[User | None] = relationship(lazy="joined", foreign_keys=[assessor_id])
    viewer: Mapped[User | None] = relationship(lazy="joined", foreign_keys=[viewer_id])
    identity: Mapped["EncryptedIdentity | None"] = relationship(
        cascade="all, delete-orphan", passive_deletes=True
    )
    images: Mapped[list["Image"]] = _parts(order_by="Image.position", back_populates="exam")
    # True for an exam that an upload did not store, because it was there already.
    already_stored = False

    @property
    def removed(self) -> bool:
        """True for a deleted exam, which is neither listed nor served."""
        return self.status in tuple(Removed)


class EncryptedIdentity(Base):
    """Encrypted identity of an exam's patient, see :mod:`birads_app.records.identities`.

    ciphertext : nonce and ciphertext
    patient_digest, accession_digest : see :mod:`birads_app.records.identity_digests`; None if not stated
    """

    __tablename__ = "identities"

    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), primary_key=True)
    ciphertext: Mapped[bytes] = mapped_column("box")
    patient_digest: Mapped[str | None] = mapped_column(String(64), index=True)
    accession_digest: Mapped[str | None] = mapped_column(String(64), index=True)


class Image(Base):
    """One view of an exam with its prediction.

    filename : name to show, never used as a path; the uploaded name if de-identification is off
    source : format of the stored original, such as ``DICOM``
    role : a :class:`birads_app.terms.views.ViewRole`; view, laterality and role may be set manually
    sop_uid, sop_class : of the stored DICOM file; None for pictures
    fingerprint : the same for the same image of the same patient; None for images of earlier versions
    prediction : as the model gave it; :func:`birads_app.records.view_corrections.prediction_of` returns what holds
    width, height : of the original in pixels
    placement : of the breast; None if it is unclear, and for images of earlier versions
    """

    __tablename__ = "images"

    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), index=True)
    position: Mapped[int]
    filename: Mapped[str] = mapped_column(String(255))
    source: Mapped[str] = mapped_column(String(16))
    view: Mapped[str | None] = mapped_column(String(16))
    laterality: Mapped[str | None] = mapped_column(String(1))
    role: Mapped[str] = mapped_column(String(8), server_default="unknown", default="unknown")
    prediction: Mapped[ImagePrediction] = mapped_column(PredictionColumn)
    width: Mapped[int]
    height: Mapped[int]
    sop_uid: Mapped[str | None] = mapped_column(String(64), index=True)
    sop_class: Mapped[str | None] = mapped_column(String(64))
    fingerprint: Mapped[str | None] = mapped_column(String(32))
    placement: Mapped[Placement | None] = mapped_column(PlacementColumn)
    exam: Mapped[Exam] = relationship(back_populates="images")
    corrections: Mapped[list["ViewCorrection"]] = _parts(order_by="ViewCorrection.id")
    turnings: Mapped[list["OrientationCorrection"]] = _parts(order_by="OrientationCorrection.id")
    # True for raw detector values, which give way to a processed twin while the exam is taken in; never stored.
    for_processing = False
    # Name as sent, for the answer to an upload; never stored, because it may contain the patient's.
    sent_name = ""

    @property
    def standard(self) -> bool:
        """True if the image counts for the breast's prediction."""
        return self.role == ViewRole.STANDARD


class ViewCorrection(Base):
    """Side, view and role of an image as a person set them. Never changed: the newest counts.

    set_by : name of the account
    previous_laterality, previous_view, previous_role : what they were before; of the first one, as received
    """

    __tablename__ = "view_corrections"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    set_by: Mapped[str] = mapped_column(String(64))
    laterality: Mapped[str | None] = mapped_column(String(1))
    view: Mapped[str | None] = mapped_column(String(16))
    role: Mapped[str] = mapped_column(String(8))
    previous_laterality: Mapped[str | None] = mapped_column(String(1))
    previous_view: Mapped[str | None] = mapped_column(String(16))
    previous_role: Mapped[str] = mapped_column(String(8))


class OrientationCorrection(Base):
    """Orientation of an image as a person set it. Never changed: the newest counts.

    set_by : name of the account
    turns, flipped : as :class:`birads_app.imaging.orientation.Orientation`
    """

    __tablename__ = "orientation_corrections"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    image_id: Mapped[str] = mapped_column(ForeignKey("images.id", ondelete="CASCADE"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    set_by: Mapped[str] = mapped_column(String(64))
    turns: Mapped[int]
    flipped: Mapped[bool]


class Assessment(Base):
    """A radiologist's assessment of an exam. Never changed: a revision is a further assessment.

    right, left : category of each breast, "0" to "6" or "4A" to "4C"; None if not assessed
    overall : category of the exam, that of the more suspicious breast; empty in a draft without a category
    density : A to D; None if not assessed
    findings : as returned by :meth:`birads_app.records.findings.Finding.as_json`
    sections : texts by the codes of :data:`birads_app.terms.lexicon.SECTIONS`; those without a text are absent
    reader_name, reader_title : full name and title of the reader's account at that time; empty if it had none
    signature : False for a draft; ``signed`` is False as well once the signature is withdrawn
    second_look : a second reader is requested
    aided : False if the AI result was hidden from the reader until then; None for assessments of earlier versions
    model, model_category : the model that read the exam, and the category that it predicted
    """

    __tablename__ = "assessments"
    __table_args__ = (
        Index("ix_assessments_signed_at", "signed", "at"),
        Index("ix_assessments_reader_id_at", "reader_id", "at"),
        Index("ix_assessments_model_at", "model", "at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), index=True)
    reader_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    right: Mapped[str | None] = mapped_column(String(2))
    left: Mapped[str | None] = mapped_column(String(2))
    overall: Mapped[str] = mapped_column(String(2))
    density: Mapped[str | None] = mapped_column(String(1))
    findings: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    text: Mapped[str] = mapped_column(Text)
    sections: Mapped[dict[str, str]] = mapped_column(JSON, server_default="{}", default=dict)
    reader_name: Mapped[str] = mapped_column(String(64), server_default="", default="")
    reader_title: Mapped[str] = mapped_column(String(64), server_default="", default="")
    signature: Mapped[bool] = mapped_column("signed")
    second_look: Mapped[bool]
    aided: Mapped[bool | None]
    model: Mapped[str] = mapped_column(String(64))
    model_category: Mapped[str | None] = mapped_column(String(1))
    reader: Mapped[User] = relationship(lazy="joined", innerjoin=True)
    withdrawal: Mapped[Withdrawal | None] = relationship(lazy="joined", viewonly=True)

    @hybrid_property
    def signed(self) -> bool:
        """True for a signature that is not withdrawn."""
        return self.signature and self.withdrawal is None

    @signed.inplace.setter
    def _sign(self, signed: bool) -> None:
        self.signature = signed

    @signed.inplace.expression
    @classmethod
    def _signed(cls) -> ColumnElement[bool]:
        return and_(cls.signature, ~exists().where(Withdrawal.assessment_id == cls.id))

    @property
    def signer(self) -> str:
        """Full name and title of the reader, else the name of the account."""
        return ", ".join(filter(None, (self.reader_name or self.reader.name, self.reader_title)))


class Outcome(Base):
    """Outcome of a breast or of the whole exam, entered later; the newest entry counts.

    laterality : L or R; None for the exam as a whole
    malignant : True if cancer was proven
    on : date of the proof, or of the negative follow-up
    """

    __tablename__ = "outcomes"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), index=True)
    laterality: Mapped[str | None] = mapped_column(String(1))
    malignant: Mapped[bool]
    on: Mapped[date | None]
    at: Mapped[datetime] = mapped_column(UtcDateTime, default=now)
    entered_by: Mapped[str] = mapped_column(String(64))


class Delivery(Base):
    """Delivery of AI results, or of a radiologist's report, to the PACS. The objects are created when they are sent.

    assessment_id : of the reported assessment; None for AI results
    state : dropped by an administrator, it is not sent unless the exam's results change
    destination : of the last attempt
    model_version : distinguishes models of the same name, and is written into the results
    due_at : time of the next attempt, or of the last one if there is no further one
    error : reason why the last attempt failed; empty if none failed
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('waiting', 'sent', 'stopped', 'dropped')", name="state"),
        _partial_index("ix_deliveries_results", "exam_id", where="assessment_id IS NULL", unique=True),
        _partial_index("ix_deliveries_unsent", "state", "due_at", where="state IN ('waiting', 'stopped')"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    exam_id: Mapped[str] = mapped_column(ForeignKey("exams.id", ondelete="CASCADE"), index=True)
    assessment_id: Mapped[int | None] = mapped_column(
        ForeignKey("assessments.id", ondelete="CASCADE"), unique=True
    )
    model_version: Mapped[str] = mapped_column(String(64))
    destination: Mapped[str] = mapped_column(String(255), default="")
    state: Mapped[str] = mapped_column(String(8), default="waiting")
    attempts: Mapped[int] = mapped_column(default=0)
    due_at: Mapped[datetime] = mapped_column(UtcDateTime, default=now, index=True)
    error: Mapped[str] = mapped_column(MessageText(500), default="")
