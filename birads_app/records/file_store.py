"""Place of the files that exams consist of: images, received objects and uploads that wait.

Three places, by BIRADS_FILES_URL: the instance folder, a folder that several machines share, or a bucket. With a bucket
the instance folder has what this machine used last. Rows of the database, not files, say which exams there are.
"""

from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from flask import current_app

from birads_app.config import Settings, SettingsError
from birads_app.records.bucket import Bucket

ABANDONED_S = 3600  # longer than a process may take to store an exam
IMAGES, SPOOL, UPLOADS = "images", "spool", "uploads"
FOLDERS = (IMAGES, SPOOL, UPLOADS)


@dataclass(frozen=True)
class FileStore:
    """Place of files.

    folder : has the folders ``images``, ``spool`` and ``uploads``; with a bucket, this machine's copies and drafts
    bucket : None if everything is in the folder
    shared : other machines store files in the same place
    """

    folder: Path
    bucket: Bucket | None = None
    shared: bool = False

    @property
    def name(self) -> str:
        """Address for messages."""
        return str(self.folder) if self.bucket is None else self.bucket.name

    @property
    def abandoned_s(self) -> int:
        """Age in seconds of a draft, at the first start on this machine, that no process can be writing any more."""
        return ABANDONED_S if self.shared and self.bucket is None else 0


def at(url: str, instance: Path) -> FileStore:
    """Return the store at an address as BIRADS_FILES_URL has it; empty for the instance folder."""
    if url.startswith("s3://"):
        return FileStore(instance, Bucket(url), shared=True)
    if url:
        return FileStore(Path(unquote(urlsplit(url).path)), shared=True)
    return FileStore(instance)


def of_settings(settings: Settings) -> FileStore:
    """Return the store of an installation; create its folder if missing. Raises SettingsError."""
    store = at(settings.files_url, settings.instance)
    if store.shared:
        try:
            store.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise SettingsError(
                f"BIRADS_FILES_URL is {settings.files_url}: {store.folder} cannot be used ({error.strerror})."
            ) from error
    return store


def check() -> None:
    """Raise FilesUnavailable if the files are in a bucket that cannot be used."""
    bucket = of_app().bucket
    if bucket is not None:
        bucket.check()


def of_app() -> FileStore:
    """Return the store of the running application."""
    store: FileStore = current_app.extensions["birads_files"]
    return store
