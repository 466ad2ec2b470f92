"""Reading room: worklist, assessments, outcomes"""

from dataclasses import astuple
from itertools import groupby
from typing import Any, NamedTuple

import sqlalchemy as sa
from alembic import op

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records.summary import summarise

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_AT_ONCE = 2000
_ROLES = "role IN ('radiologist', 'admin'{})"
_INDEXES = (
    ("status_created_at", ["status", "created_at", "id"]),
    ("status_suspicion", ["status", "suspicion", "id"]),
    ("status_exam_date", ["status", "exam_date", "id"]),
    ("status_category", ["status", "category", "created_at", "id"]),
    ("status_category_suspicion", ["status", "category", "suspicion", "id"]),
    ("status_assessor_id", ["status", "assessor_id", "created_at", "id"]),
    ("status_assessor_id_suspicion", ["status", "assessor_id", "suspicion", "id"]),
)
_EXAM_COLUMNS: tuple[tuple[str, Any, str | None], ...] = (
    ("status", sa.String(8), "new"),
    ("category", sa.String(1), None),
    ("certainty", sa.Float(), None),
    ("suspicion", sa.Float(), None),
    ("views", sa.String(255), ""),
    ("failure", sa.String(500), ""),
    ("assessed", sa.String(2), None),
    ("assessed_at", sa.DateTime(), None),
    ("assessor_id", sa.Integer(), None),
    ("viewer_id", sa.Integer(), None),
    ("viewed_at", sa.DateTime(), None),
)


def upgrade() -> None:
    _change_accounts()
    op.add_column("audit", sa.Column("detail", sa.String(500), nullable=False, server_default=""))
    with op.batch_alter_table("exams") as table:
        for name, kind, default in _EXAM_COLUMNS:
            table.add_column(sa.Column(name, kind, nullable=default is None, server_default=default))
        for column in ("assessor_id", "viewer_id"):
            table.create_foreign_key(op.f(f"fk_exams_{column}_users"), "users", [column], ["id"])
    _create_assessments()
    _create_outcomes()
    _summarise_exams()
    for name, columns in _INDEXES:
        op.create_index(f"ix_exams_{name}", "exams", columns)


def _change_accounts() -> None:
    with op.batch_alter_table("users") as table:
        # The collation is the one thing that a table's copy would lose.
        table.alter_column("name", type_=sa.String(64, collation="NOCASE"), existing_nullable=False)
        table.add_column(sa.Column("enabled", sa.Boolean(), nullable=False, server_default="1"))
        table.add_column(sa.Column("language", sa.String(8), nullable=True))
        table.drop_constraint(op.f("ck_users_role"), type_="check")
        table.create_check_constraint(op.f("ck_users_role"), _ROLES.format(", 'auditor'"))
    op.add_column("tokens", sa.Column("name", sa.String(64), nullable=False, server_default=""))
    op.add_column("tokens", sa.Column("last_used_at", sa.DateTime(), nullable=True))


def _create_assessments() -> None:
    op.create_table(
        "assessments",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("reader_id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("right", sa.String(2), nullable=True),
        sa.Column("left", sa.String(2), nullable=True),
        sa.Column("overall", sa.String(2), nullable=False),
        sa.Column("density", sa.String(1), nullable=True),
        sa.Column("findings", sa.JSON(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("signed", sa.Boolean(), nullable=False),
        sa.Column("second_look", sa.Boolean(), nullable=False),
        sa.Column("model", sa.String(64), nullable=False),
        sa.Column("model_category", sa.String(1), nullable=True),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name=op.f("fk_assessments_exam_id_exams"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["reader_id"], ["users.id"], name=op.f("fk_assessments_reader_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assessments")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_assessments_exam_id"), "assessments", ["exam_id"])
    op.create_index(op.f("ix_assessments_reader_id"), "assessments", ["reader_id"])
    op.create_index("ix_assessments_signed_at", "assessments", ["signed", "at"])
    op.execute(
        "CREATE TRIGGER assessments_no_update BEFORE UPDATE ON assessments "
        "BEGIN SELECT RAISE(ABORT, 'assessments are only added to'); END"
    )


def _create_outcomes() -> None:
    op.create_table(
        "outcomes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("laterality", sa.String(1), nullable=True),
        sa.Column("malignant", sa.Boolean(), nullable=False),
        sa.Column("on", sa.Date(), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("entered_by", sa.String(64), nullable=False),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name=op.f("fk_outcomes_exam_id_exams"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outcomes")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_outcomes_exam_id"), "outcomes", ["exam_id"])
    op.create_table(
        "refusals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("reason", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_refusals")),
    )
    op.create_index(op.f("ix_refusals_at"), "refusals", ["at"])


def _summarise_exams() -> None:
    """Enter into the exams that are there what the worklist shows of them, some at a time."""
    bind, last = op.get_bind(), ""
    names = ("id", "rule", "category", "certainty", "suspicion", "views")
    exams = sa.table("exams", *(sa.column(name) for name in names))
    images = sa.text(
        "SELECT exam_id, laterality, view, standard, category, probabilities FROM images "
        "WHERE exam_id BETWEEN :first AND :last ORDER BY exam_id, position"
    ).columns(probabilities=sa.JSON, standard=sa.Boolean)
    some = sa.select(exams.c.id, exams.c.rule).order_by(exams.c.id).limit(_AT_ONCE)
    while rules := dict(tuple(row) for row in bind.execute(some.where(exams.c.id > last))):
        first, last = min(rules), max(rules)
        rows = bind.execute(images, {"first": first, "last": last}).all()
        for exam_id, of_exam in groupby(rows, key=lambda row: row.exam_id):
            summary = summarise([_predicted_view(row) for row in of_exam], rules[exam_id])
            values = dict(zip(names[2:], astuple(summary), strict=True))
            bind.execute(exams.update().where(exams.c.id == exam_id).values(values))


class _StoredView(NamedTuple):
    """An image as far as the summary needs it."""

    laterality: str | None
    view: str | None
    standard: bool
    prediction: ImagePrediction


def _predicted_view(row: Any) -> _StoredView:
    return _StoredView(
        row.laterality, row.view, row.standard, ImagePrediction(row.category, row.probabilities)
    )


def downgrade() -> None:
    for name in ("refusals", "outcomes", "assessments"):
        op.drop_table(name)
    for name, _ in _INDEXES:
        op.drop_index(f"ix_exams_{name}", "exams")
    with op.batch_alter_table("exams") as table:
        for column in ("assessor_id", "viewer_id"):
            table.drop_constraint(op.f(f"fk_exams_{column}_users"), type_="foreignkey")
        for name, _, _ in _EXAM_COLUMNS:
            table.drop_column(name)
    op.drop_column("audit", "detail")
    for column in ("last_used_at", "name"):
        op.drop_column("tokens", column)
    op.execute("UPDATE users SET role = 'radiologist', enabled = 0 WHERE role = 'auditor'")
    with op.batch_alter_table("users") as table:
        # The collation is the one thing that a table's copy would lose.
        table.alter_column("name", type_=sa.String(64, collation="NOCASE"), existing_nullable=False)
        table.drop_constraint(op.f("ck_users_role"), type_="check")
        table.create_check_constraint(op.f("ck_users_role"), _ROLES.format(""))
        for column in ("language", "enabled"):
            table.drop_column(column)
