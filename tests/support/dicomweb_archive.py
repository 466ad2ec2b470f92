"""A DICOMweb server with studies, some of whose objects cannot be retrieved."""

import json
from dataclasses import dataclass, field

from tests.support.factories import MAMMOGRAPHY

_PART = b"--x\r\nContent-Type: application/dicom\r\n\r\n"
_KIND = 'multipart/related; type="application/dicom"; boundary=x'


@dataclass
class Archive:
    """Content of a DICOMweb server.

    objects : bytes by study and instance UID
    described : further elements of a study in answers to a query, by study and tag
    failing : HTTP status by instance UID, or by ``list`` and a study for its list of instances
    """

    objects: dict[str, dict[str, bytes]]
    failing: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    described: dict[str, dict[str, str]] = field(default_factory=dict)

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for an address."""
        parts = path.partition("?")[0].strip("/").split("/")
        self.asked.append(parts[-1])
        first = "offset=0" in path or "offset" not in path
        if parts == ["studies"]:
            return _json([self._study(study) for study in self.objects] if first else [])
        study = parts[1]
        if parts[-1] == "instances":
            if status := self.failing.get(f"list {study}"):
                return status, "text/plain", b""
            return _json([_listed(study, uid) for uid in self.objects[study]] if first else [])
        if status := self.failing.get(parts[-1]):
            return status, "text/plain", b""
        return 200, _KIND, _PART + self.objects[study][parts[-1]] + b"\r\n--x--\r\n"

    def _study(self, study: str) -> dict[str, object]:
        more = {tag: {"vr": "LO", "Value": [value]} for tag, value in self.described.get(study, {}).items()}
        return {"0020000D": _uid(study)} | more


def _json(found: list[dict[str, object]]) -> tuple[int, str, bytes]:
    return 200, "application/dicom+json", json.dumps(found).encode()


def _uid(value: str) -> dict[str, object]:
    return {"vr": "UI", "Value": [value]}


def _listed(study: str, uid: str) -> dict[str, object]:
    return {"00080016": _uid(MAMMOGRAPHY), "00080018": _uid(uid), "0020000E": _uid(f"{study}.1")}
