"""Backup, restore, integrity check, keys and retention."""
