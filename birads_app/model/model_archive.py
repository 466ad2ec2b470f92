"""Signed archives of model bundles: ZIP files with the files of one bundle and an Ed25519 signature.

The signature covers the model's name and the manifest, and the manifest has the checksum of every other file. A key is
identified by its fingerprint: the first 128 bits of the public key's SHA-256.
"""

import base64
import hashlib
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from birads_app.files.bounded_reading import BOUNDED_METHODS, LongerThanAllowed, pieces
from birads_app.model import bundles
from birads_app.model.bundles import Bundle
from birads_app.terms.errors import ModelArchiveRefused
from birads_app.terms.messages import msg

SIGNATURE = "signature.json"
_MOST_BYTES = 1 << 30  # of all files together, unpacked
_SIGNATURE_BYTES = 4096
_PURPOSE = b"birads model archive, version 1"


@dataclass(frozen=True)
class ArchivedModel:
    """Model of an unpacked archive, whose signature is valid.

    fingerprint : of the key that signed it
    """

    name: str
    fingerprint: str


def fingerprint(seed: bytes) -> str:
    """Return the fingerprint of the key with this seed, 32 bytes."""
    return _fingerprint(Ed25519PrivateKey.from_private_bytes(seed).public_key())


def pack(bundle: Bundle, seed: bytes, target: IO[bytes]) -> None:
    """Write the archive of a bundle, signed with the key of this seed."""
    key = Ed25519PrivateKey.from_private_bytes(seed)
    manifest = (bundle.path / bundles.MANIFEST).read_bytes()
    signature = {
        "model": bundle.name,
        "key": base64.b64encode(key.public_key().public_bytes_raw()).decode(),
        "signature": base64.b64encode(key.sign(_signed(bundle.name, manifest))).decode(),
    }
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(SIGNATURE, json.dumps(signature, indent=2) + "\n")
        archive.writestr(bundles.MANIFEST, manifest)
        for file in bundle.manifest["files"]:
            archive.write(bundle.path / file, file)


def unpack(stream: IO[bytes], folder: Path) -> ArchivedModel:
    """Unpack an archive into an empty folder and check its signature; the files are yet to be verified.

    Raises
    ------
    ModelArchiveRefused
        It is no archive of a model, is damaged or too large, or its signature is not valid.
    """
    with _refusing():
        with zipfile.ZipFile(stream) as archive:
            entries = archive.infolist()
            _check_entries(entries)
            left = _MOST_BYTES
            for entry in entries:
                left -= _extract(archive, entry, folder / entry.filename, left)
        return _verified(folder)


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn every error about the content into a refusal."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        KeyError,
        TypeError,
        ValueError,
        NotImplementedError,
        EOFError,
        RuntimeError,
    ) as error:
        raise ModelArchiveRefused(msg("model-archive-damaged")) from error


def _check_entries(entries: list[zipfile.ZipInfo]) -> None:
    """Refuse names that no bundle has, names that occur twice, and methods of compression without a bound."""
    names = [entry.filename for entry in entries]
    known = {SIGNATURE, bundles.MANIFEST, *bundles.FILES}
    if other := sorted(set(names) - known):
        raise ModelArchiveRefused(msg("model-archive-foreign-file", file=other[0][:80]))
    if len(names) != len(set(names)) or not {SIGNATURE, bundles.MANIFEST} <= set(names):
        raise ModelArchiveRefused(msg("model-archive-damaged"))
    if any(entry.compress_type not in BOUNDED_METHODS or entry.flag_bits & 1 for entry in entries):
        raise ModelArchiveRefused(msg("model-archive-damaged"))


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, target: Path, left: int) -> int:
    """Write an entry and return its size; what it declares is not trusted."""
    most = _SIGNATURE_BYTES if entry.filename == SIGNATURE else left
    try:
        with archive.open(entry) as source, target.open("xb") as output:
            return sum(map(output.write, pieces(source, most)))
    except LongerThanAllowed:
        raise ModelArchiveRefused(msg("model-archive-too-large", most=_MOST_BYTES >> 20)) from None


def _verified(folder: Path) -> ArchivedModel:
    """Check the signature over the unpacked manifest, then remove its file."""
    signed: dict[str, Any] = json.loads((folder / SIGNATURE).read_text("utf-8"))
    (folder / SIGNATURE).unlink()
    name = str(signed["model"])
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signed["key"]))
    try:
        key.verify(
            base64.b64decode(signed["signature"]), _signed(name, (folder / bundles.MANIFEST).read_bytes())
        )
    except InvalidSignature as error:
        raise ModelArchiveRefused(msg("model-archive-changed")) from error
    return ArchivedModel(name, _fingerprint(key))


def _signed(name: str, manifest: bytes) -> bytes:
    return b"\0".join((_PURPOSE, name.encode(), hashlib.sha256(manifest).digest()))


def _fingerprint(key: Ed25519PublicKey) -> str:
    digest = hashlib.sha256(key.public_bytes_raw()).hexdigest()[:32]
    return "-".join(digest[start : start + 4] for start in range(0, 32, 4))
