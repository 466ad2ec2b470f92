"""Additions to the tables on PostgreSQL: an order of names without case, and tables whose rows do not change.

An installation begins with the tables of its version, and takes later migrations. On SQLite migrations made the same.
"""

from sqlalchemy import DDL, Connection, event, text

from birads_app.config import SettingsError
from birads_app.records.table_base import Base

# Message of the refusal of a change, and the changes that are refused, by table.
_UNCHANGED = {
    "assessments": ("assessments are only added to", ("UPDATE",)),
    "audit": ("the audit list is only added to", ("UPDATE", "DELETE")),
    "orientation_corrections": ("corrections are only added to", ("UPDATE",)),
    "view_corrections": ("corrections are only added to", ("UPDATE",)),
    "withdrawals": ("withdrawals are only added to", ("UPDATE",)),
}
_BEFORE = (
    # Accounts are found however their name is spelt; only ICU has such an order.
    """CREATE COLLATION IF NOT EXISTS "NOCASE" (provider = icu, locale = 'und-u-ks-level2', deterministic = false)""",
    """CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION USING ERRCODE = 'integrity_constraint_violation', MESSAGE = TG_ARGV[0]; END $$""",
    # Number of entries that the audit log ever had.
    "CREATE TABLE audit_sequence (id integer PRIMARY KEY CHECK (id = 1), seq bigint NOT NULL)",
    "INSERT INTO audit_sequence VALUES (1, 0)",
    """CREATE FUNCTION count_entry() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN UPDATE audit_sequence SET seq = greatest(seq, NEW.id); RETURN NULL; END $$""",
)
_AFTER = (
    *(
        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
        f"FOR EACH ROW EXECUTE FUNCTION refuse_change('{message}')"
        for table, (message, changes) in _UNCHANGED.items()
        for change in changes
    ),
    "CREATE TRIGGER audit_count AFTER INSERT ON audit FOR EACH ROW EXECUTE FUNCTION count_entry()",
)
for _moment, _statements in (("before_create", _BEFORE), ("after_create", _AFTER)):
    for _statement in _statements:
        event.listen(Base.metadata, _moment, DDL(_statement).execute_if(dialect="postgresql"))


def create_tables(connection: Connection) -> None:
    """Create all tables in an empty database, inside its transaction.

    Raises
    ------
    SettingsError
        The database sorts texts by the rules of a language, has another encoding, or is not empty.
    """
    found = connection.execute(
        text(
            "SELECT pg_encoding_to_char(encoding), datcollate FROM pg_database WHERE datname = current_database()"
        )
    ).one()
    if found[0] != "UTF8" or found[1] not in ("C", "POSIX", "C.UTF-8", "C.utf8"):
        raise SettingsError(
            f"The database has the encoding {found[0]} and the collation {found[1]}; it needs UTF8 and C. Create it "
            "with: CREATE DATABASE birads TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
        )
    tables = "SELECT count(*) FROM information_schema.tables WHERE table_schema = current_schema()"
    if connection.execute(text(tables)).scalar():
        raise SettingsError(
            "The database has tables of another program. Create an empty one for this service."
        )
    Base.metadata.create_all(connection)
