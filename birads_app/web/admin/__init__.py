"""Administration: models, training, accounts, API tokens, audit log, deleted exams, settings, storage."""

from birads_app.web.admin import (
    accounts,
    api_tokens,
    audit_pages,
    bin_pages,
    dataset_pages,
    log_page,
    model_file_pages,
    models,
    overview,
    queue_page,
    report_template_pages,
    system,
    trainings,
)
from birads_app.web.admin.blueprint import bp

__all__ = [
    "accounts",
    "api_tokens",
    "audit_pages",
    "bin_pages",
    "bp",
    "dataset_pages",
    "log_page",
    "model_file_pages",
    "models",
    "overview",
    "queue_page",
    "report_template_pages",
    "system",
    "trainings",
]
