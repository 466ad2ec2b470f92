"""Every page of the product by name, as a signed-in administrator sees it."""

ADDRESSES = {
    "worklist": "/",
    "upload": "/upload",
    "exam": "{exam}",
    "delete": "/exams/delete?exam={id}",
    "report": "{exam}/report",
    "practice": "/practice/",
    "outcomes": "/practice/outcomes",
    "model-card": "/models/birads-demo",
    "account": "/account",
    "administration": "/admin/",
    "models": "/admin/models",
    "compare": "/admin/models/compare?name=birads-demo",
    "promote": "/admin/models/birads-demo/promote",
    "trainings": "/admin/trainings",
    "accounts": "/admin/accounts",
    "tokens": "/admin/tokens",
    "audit-log": "/admin/audit",
    "settings": "/admin/settings",
    "storage": "/admin/storage",
    "error": "/exams/none",
}


def address(name: str, exam: str) -> str:
    """The path of a page; ``exam`` is that of an exam's page."""
    return ADDRESSES[name].format(exam=exam, id=exam.rsplit("/", 1)[-1])
