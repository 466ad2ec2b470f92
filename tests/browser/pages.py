"""Addresses of all pages by name, as a signed-in administrator sees them."""

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
    "administration": "/admin/",
    "models": "/admin/models",
    "compare": "/admin/models/compare?name=birads-demo",
    "promote": "/admin/models/birads-demo/promote",
    "model-upload": "/admin/models/upload",
    "datasets": "/admin/datasets",
    "trainings": "/admin/trainings",
    "accounts": "/admin/accounts",
    "tokens": "/admin/tokens",
    "audit-log": "/admin/audit",
    "bin": "/admin/bin",
    "queue": "/admin/queue",
    "report-templates": "/admin/report-templates",
    "log": "/admin/log",
    "settings": "/admin/settings",
    "storage": "/admin/storage",
    "error": "/exams/none",
}


def address(name: str, exam: str) -> str:
    """Return the path of a page; ``exam`` is the path of an exam."""
    return ADDRESSES[name].format(exam=exam, id=exam.rsplit("/", 1)[-1])
