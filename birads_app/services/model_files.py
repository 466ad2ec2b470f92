"""Models leave and enter the site as signed archives, and are deleted; all of it is recorded."""

import hmac
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import current_app

from birads_app.model import bundles, model_archive, registry
from birads_app.model.bundles import Bundle
from birads_app.records import audit_log, exams, site_keys
from birads_app.records.users import CONSOLE
from birads_app.services.promotion import audited_change
from birads_app.terms.errors import BundleError, ModelArchiveRefused
from birads_app.terms.messages import msg

_PURPOSE = b"birads model archives"


def own_fingerprint() -> str:
    """Return the fingerprint of the key with which this site signs archives."""
    return model_archive.fingerprint(_seed())


def export(name: str, target: IO[bytes], who: str = CONSOLE) -> None:
    """Write the signed archive of a model; raise BundleError if it is missing or damaged."""
    model_archive.pack(leaving(name, who), _seed(), target)


def leaving(name: str, who: str = CONSOLE) -> Bundle:
    """Return a model that is about to leave the site, on record; raise BundleError if it is missing or damaged."""
    bundle = registry.find(_models(), name)
    audit_log.log(who, "download model", name)
    return bundle


def add(stream: IO[bytes], name: str = "", accepted: str = "", who: str = CONSOLE) -> str:
    """Add the model of a signed archive and return its name; it does not serve before it is promoted.

    Parameters
    ----------
    name : of the new model; by default the one in the archive
    accepted : fingerprint of another site's key to accept, as the sender told it

    Raises
    ------
    ModelArchiveRefused
        The archive is damaged or changed, or signed with another key than this site's or the accepted one, or the
        name is taken.
    BundleError
        The bundle in it is damaged, or its name is not valid.
    """
    models = _models()
    with _draft_folder(models) as draft:
        unpacked = draft / "unpacked"
        unpacked.mkdir()
        found = model_archive.unpack(stream, unpacked)
        _check_key(found.fingerprint, accepted)
        name = name or found.name
        check_free(bundles.check_name(name))
        folder = draft / name
        unpacked.rename(folder)
        bundles.load(folder)
        for file in folder.iterdir():
            file.chmod(0o644)
        with audited_change(who, "upload model", name, f"key {found.fingerprint}"):
            try:
                folder.rename(models / name)
            except OSError as error:  # another one took the name meanwhile
                raise ModelArchiveRefused(msg("training-name-taken", name=name)) from error
    return name


def delete(name: str, reason: str, who: str = CONSOLE) -> None:
    """Delete a model; raise NotForService if it serves, BundleError if there is none."""
    with audited_change(who, "delete model", name, reason):
        registry.remove(_models(), name)


def check_free(name: str) -> None:
    """Raise ModelArchiveRefused if a model has this name, or a deleted one whose results exams have."""
    if (_models() / name).exists():
        raise ModelArchiveRefused(msg("training-name-taken", name=name))
    if exams.of_model(name):
        raise ModelArchiveRefused(msg("model-name-of-exams", name=name))


def _check_key(fingerprint: str, accepted: str) -> None:
    known = (own_fingerprint(), accepted.strip().lower())
    if not any(hmac.compare_digest(fingerprint.encode(), one.encode()) for one in known):
        raise ModelArchiveRefused(msg("model-archive-foreign-key", fingerprint=fingerprint))


def _seed() -> bytes:
    """Derive the signing key from the key of pseudonyms, which stays when the site key changes."""
    return HKDF(SHA256(), length=32, salt=None, info=_PURPOSE).derive(site_keys.pseudonym_key().encode())


def _models() -> Path:
    return Path(current_app.extensions["birads_settings"].models)


@contextmanager
def _draft_folder(models: Path) -> Iterator[Path]:
    """Yield a hidden folder among the models, removed in the end."""
    try:
        models.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(prefix=".upload-", dir=models))
    except OSError as error:
        raise BundleError(
            msg("models-not-writable", folder=str(models), reason=os.strerror(error.errno or 0))
        ) from error
    try:
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)
