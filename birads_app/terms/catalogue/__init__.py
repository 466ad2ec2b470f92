"""English text of every message by its code, ``%(name)s`` where a value goes.

Codes are stored with exams: one is never renamed and never gets another meaning or other values. Texts may be edited
freely; stored exams show the new text.
"""

from birads_app.terms.catalogue.account_texts import ACCOUNT
from birads_app.terms.catalogue.dicom_texts import DICOM
from birads_app.terms.catalogue.exam_texts import EXAM
from birads_app.terms.catalogue.image_texts import IMAGE
from birads_app.terms.catalogue.model_texts import MODEL
from birads_app.terms.catalogue.network_texts import NETWORK
from birads_app.terms.catalogue.singulars import SINGULARS
from birads_app.terms.catalogue.table_texts import TABLE

__all__ = ["SINGULARS", "TEXTS"]

TEXTS: dict[str, str] = {**IMAGE, **DICOM, **MODEL, **EXAM, **ACCOUNT, **NETWORK, **TABLE}
