"""All tables: importing this module defines them."""

from birads_app.records import (  # noqa: F401
    audit_tables,
    credential_tables,
    deletion_table,
    fetch_table,
    job_table,
    key_tables,
    prior_tables,
    reading_tables,
    refused_file_table,
    schema,
    sign_in_tables,
    template_table,
)
