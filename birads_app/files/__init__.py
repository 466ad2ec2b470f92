"""Files on disk: tables, atomic writes and locks."""
