"""Report templates, with some in English and German to begin with"""

import sqlalchemy as sa
from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None

DEFAULTS = (
    ("en", "Screening, no finding", {
        "indication": "Screening mammography. No symptoms.",
        "text": "No mass, no suspicious calcifications, no architectural distortion and no suspicious asymmetry. "
        "Skin and nipples unremarkable.",
    }),
    ("en", "Palpable lump", {
        "indication": "Palpable lump.",
        "technique": "Diagnostic mammography of both breasts in two views.",
    }),
    ("en", "Follow-up of a probably benign finding", {
        "indication": "Short-interval follow-up of a probably benign finding.",
        "text": "The finding described before is unchanged. No new finding.",
    }),
    ("de", "Screening ohne Befund", {
        "indication": "Früherkennungsmammographie. Keine Beschwerden.",
        "text": "Kein Herdbefund, kein suspekter Mikrokalk, keine Architekturstörung und keine suspekte Asymmetrie. "
        "Kutis und Mamillen unauffällig.",
    }),
    ("de", "Tastbefund", {
        "indication": "Tastbefund.",
        "technique": "Kurative Mammographie beidseits in zwei Ebenen.",
    }),
    ("de", "Kontrolle eines wahrscheinlich gutartigen Befundes", {
        "indication": "Kurzfristige Verlaufskontrolle eines wahrscheinlich gutartigen Befundes.",
        "text": "Der vorbeschriebene Befund ist unverändert. Kein neu aufgetretener Befund.",
    }),
)  # fmt: skip


def upgrade() -> None:
    table = op.create_table(
        "report_templates",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("texts", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_report_templates")),
        sa.UniqueConstraint("language", "name", name=op.f("uq_report_templates_language")),
    )
    rows = [{"language": language, "name": name, "texts": texts} for language, name, texts in DEFAULTS]
    op.bulk_insert(table, rows)


def downgrade() -> None:
    op.drop_table("report_templates")
