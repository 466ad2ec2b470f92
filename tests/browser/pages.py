"""Addresses of all pages by name, as a signed-in administrator sees them.

``tests/web/test_every_route.py`` compares them with the routes: a page that is missing here fails there.
"""

from collections.abc import Mapping

# {exam} is the path of an exam, {id} its id; the others are ids of what ``stored_states.store`` has stored.
ADDRESSES = {
    "worklist": "/",
    "upload": "/upload",
    "exam": "{exam}",
    "delete": "/admin/exams/delete?exam={id}",
    "report": "{exam}/report",
    "practice": "/practice/",
    "outcomes": "/practice/outcomes",
    "model-card": "/models/birads-demo",
    "account": "/account",
    "revoke-own": "/account/tokens/{own_token}/revoke",
    "two-step": "/account/two-step",
    "administration": "/admin/",
    "models": "/admin/models",
    "compare": "/admin/models/compare?name=birads-demo",
    "promote": "/admin/models/birads-demo/promote",
    "roll-back": "/admin/models/rollback",
    "model-upload": "/admin/models/upload",
    "delete-model": "/admin/models/birads-demo/delete",
    "datasets": "/admin/datasets",
    "dataset-check": "/admin/datasets/checks/{check}",
    "delete-dataset": "/admin/datasets/{dataset}/delete",
    "trainings": "/admin/trainings",
    "training": "/admin/trainings/{training}",
    "stop-training": "/admin/trainings/{training}/stop",
    "accounts": "/admin/accounts",
    "account-of-another": "/admin/accounts/{person}",
    "deactivate": "/admin/accounts/{person}/deactivate",
    "tokens": "/admin/tokens",
    "revoke": "/admin/tokens/{token}/revoke",
    "audit-log": "/admin/audit",
    "bin": "/admin/bin",
    "erase": "/admin/bin/{binned}/erase",
    "queue": "/admin/queue",
    "drop-job": "/admin/queue/results/{job}/drop",
    "report-templates": "/admin/report-templates",
    "network": "/admin/network",
    "log": "/admin/log",
    "settings": "/admin/settings",
    "storage": "/admin/storage",
    "error": "/exams/none",
}
# Visitors' pages and steps of signing in: test_accessibility.py, test_sign_in_pages.py.
OF_VISITORS = {
    "account.login", "account.second_step", "account.setup", "sign_on.begin", "sign_on.callback"
}  # fmt: skip
# What is downloaded, fetched by scripts, or a document of its own.
NO_PAGES = {
    "admin.dataset_check_progress", "admin.download_model", "admin.export_audit", "admin.progress", "admin.report",
    "admin.unpacking_progress",
    "api.job", "api.jobs", "api.listing", "api.openapi", "api.report", "api.show",
    "assessing.dicom", "assessing.report_fhir", "assessing.report_json", "assessing.report_pdf",
    "health.alive", "health.ready", "monitoring.metrics",
    "practice.exams_table", "practice.figures_table", "practice.outcomes_template",
    "reading.export", "reading.image", "reading.prefetch", "static", "viewing.description", "viewing.tile",
}  # fmt: skip


def address(name: str, places: Mapping[str, str]) -> str:
    """Return the path of a page; ``places`` fills its address."""
    return ADDRESSES[name].format_map(places)
