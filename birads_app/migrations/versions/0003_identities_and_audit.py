"""Identities and audit"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_CHANGES = ("UPDATE", "DELETE")


def upgrade() -> None:
    op.add_column("exams", sa.Column("pseudonym", sa.String(16), nullable=True))
    op.add_column("exams", sa.Column("study_uid", sa.String(64), nullable=True))
    op.add_column("exams", sa.Column("exam_date", sa.Date(), nullable=True))
    op.create_index(op.f("ix_exams_pseudonym"), "exams", ["pseudonym"])
    op.create_index(op.f("ix_exams_study_uid"), "exams", ["study_uid"])
    op.add_column("images", sa.Column("sop_uid", sa.String(64), nullable=True))
    op.add_column("images", sa.Column("sop_class", sa.String(64), nullable=True))
    op.create_index(op.f("ix_images_sop_uid"), "images", ["sop_uid"])
    op.create_table(
        "identities",
        sa.Column("exam_id", sa.String(32), nullable=False),
        sa.Column("box", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["exam_id"], ["exams.id"], name=op.f("fk_identities_exam_id_exams"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("exam_id", name=op.f("pk_identities")),
    )
    _create_audit()


def _create_audit() -> None:
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("who", sa.String(64), nullable=False),
        sa.Column("action", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
        sqlite_autoincrement=True,
    )
    for change in _CHANGES:
        op.execute(
            f"CREATE TRIGGER audit_no_{change.lower()} BEFORE {change} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit list is only added to'); END"
        )


def downgrade() -> None:
    op.drop_table("audit")  # takes its triggers along
    op.drop_table("identities")
    op.drop_index(op.f("ix_images_sop_uid"), "images")
    for column in ("sop_uid", "sop_class"):
        op.drop_column("images", column)
    for column in ("pseudonym", "study_uid"):
        op.drop_index(op.f(f"ix_exams_{column}"), "exams")
    for column in ("pseudonym", "study_uid", "exam_date"):
        op.drop_column("exams", column)
