"""Archives in an upload, also within one another: no image in them is left out."""

import gzip
import io
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable

import pytest

from birads_app.imaging.source_file import SourceFile
from birads_app.intake import archives
from birads_app.intake.archives import unpacked
from birads_app.intake.companions import Companions
from birads_app.terms.errors import ImageTooLarge, UnreadableImage
from tests.intake.test_companions import java_archive, view, views
from tests.intake.test_study_grouping import packed
from tests.support.packing import stored, tarred

FOUR = views()
NAMES = [name for name, _ in FOUR]


def names(data: bytes, companions: Companions | None = None) -> list[str]:
    return [file.name for file in unpacked([SourceFile("sent", data)], 4, companions)]


@pytest.mark.parametrize(
    "data",
    [
        tarred(*FOUR),
        gzip.compress(tarred(*FOUR)),
        packed(("inner.zip", packed(*FOUR))),
        packed(("inner.tgz", gzip.compress(tarred(*FOUR)))),
        tarred(("inner.zip", packed(*FOUR))),
        packed(*FOUR[:1], ("inner.zip", packed(*FOUR[1:]))),
        packed(*((f"{name}.gz", gzip.compress(data)) for name, data in FOUR)),
        stored(("viewer.jar", java_archive()), *FOUR),
    ],
    ids=["tar", "tar.gz", "zip in zip", "tgz in zip", "zip in tar", "partly", "gz in zip", "jar first"],
)
def test_all_images_are_found(data: bytes) -> None:
    assert names(data) == NAMES


def test_what_is_no_image_in_an_inner_archive_is_noted() -> None:
    companions = Companions()
    inner = packed(("plugin.dll", b"MZ\x90\x00" + bytes(100)), ("help.txt", b"How to use the viewer"))
    assert names(packed(("VIEWER/plugins.zip", inner), *FOUR), companions) == NAMES
    assert [(found.name, found.kind) for found in companions.found] == [
        ("plugin.dll", "program"),
        ("help.txt", "text"),
    ]


def test_archives_that_cannot_be_opened_are_noted_beside_images() -> None:
    companions = Companions()
    more = [("old.7z", b"7z\xbc\xaf\x27\x1c" + bytes(200)), ("setup.cab", b"MSCF" + bytes(200))]
    names(packed(*more, *FOUR), companions)
    assert [(found.name, found.kind) for found in companions.found] == [
        ("old.7z", "archive"),
        ("setup.cab", "archive"),
    ]
    assert companions.notes((), ()) == [
        "Skipped, as they are not images of the exam: archive (2).",
        "Skipped, although it may contain images: This is a 7-Zip archive. Unpack it and send the images.",
    ]


def test_an_archive_within_too_many_is_refused() -> None:
    data = packed(("IM1", view(0)))
    for _ in range(3):
        data = packed(("inner.zip", data))
    with pytest.raises(UnreadableImage, match="inside 3 other archives"):
        names(data)


@pytest.mark.parametrize(
    "data",
    [
        tarred(*FOUR)[:-200_000],
        gzip.compress(tarred(*FOUR))[:-500],
        gzip.compress(view(0))[:20] + bytes(100),
        packed(("inner.zip", packed(*FOUR)[:-100]), *FOUR),
    ],
    ids=["tar", "tar.gz", "gzip", "inner"],
)
def test_a_damaged_archive_is_refused(data: bytes) -> None:
    with pytest.raises(UnreadableImage, match="damaged"):
        names(data)


def test_bombs_stop_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.intake.archives._UPLOAD_MAX", 1_000_000)
    with pytest.raises(ImageTooLarge):
        names(gzip.compress(bytes(2_000_000)))
    with pytest.raises(ImageTooLarge):
        names(packed(("inner.zip", packed(("IM1", bytes(2_000_000))))))


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_cannot_be_bounded_are_refused(method: int) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("IM1", view(0))
    with pytest.raises(UnreadableImage, match="ordinary ZIP archive"):
        names(stream.getvalue())


def test_a_member_that_expands_far_more_than_images_is_not_inflated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(archives, "EXPANSION_FREE", 1 << 20)
    with pytest.raises(ImageTooLarge, match="100 times its compressed size"):
        names(packed(("IM1", bytes(2 << 20)), ("IM2", bytes(2 << 20))))
    with pytest.raises(ImageTooLarge, match="100 times its compressed size"):
        names(gzip.compress(tarred(("IM1", bytes(2 << 20)))))


@pytest.mark.parametrize("pack", [packed, tarred], ids=["zip", "tar"])
def test_members_are_handed_on_in_batches(
    monkeypatch: pytest.MonkeyPatch, pack: Callable[..., bytes]
) -> None:
    monkeypatch.setattr("birads_app.intake.archives._BATCH", 1)
    begun: list[int] = []
    once = archives.unpack
    monkeypatch.setattr(archives, "unpack", lambda *given: begun.append(given[1]) or once(*given))
    sent = SourceFile("sent", pack(("a.txt", b"How to use the viewer"), *FOUR))
    companions = Companions()
    assert [(file.name, file.data) for file in unpacked([sent], 4, companions)] == FOUR
    assert begun == [0, 2, 3, 4] and len(companions.found) == 1
    with pytest.raises(ImageTooLarge, match="more than 3 files"):
        list(unpacked([sent], 3))


def test_the_entries_of_archives_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.intake.archives._ENTRIES_MAX", 9)
    texts = [(f"{number}.txt", b"How to use the viewer") for number in range(4)]
    inner = packed(*texts)
    assert names(packed(("1.zip", inner), *FOUR)) == NAMES
    with pytest.raises(ImageTooLarge, match="more than 9 files"):
        names(packed(("1.zip", inner), ("2.zip", inner), *FOUR))


def test_folders_in_a_tar_archive_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("birads_app.intake.archives._ENTRIES_MAX", 9)
    folder = tarfile.TarInfo("a")
    folder.type = tarfile.DIRTYPE
    with pytest.raises(ImageTooLarge, match="more than 9 files"):
        names(folder.tobuf() * 10 + tarred(*FOUR))


def test_the_directory_of_a_zip_archive_is_limited_before_it_is_read() -> None:
    entries = 200_000
    directory = (b"PK\x01\x02" + bytes(42)) * entries
    size, start = len(directory).to_bytes(4, "little"), (4).to_bytes(4, "little")
    data = b"PK\x03\x04" + directory + b"PK\x05\x06" + bytes(8) + size + start + bytes(2)
    tracemalloc.start()
    try:
        with pytest.raises(ImageTooLarge, match="more than 10000 files"):
            names(data)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("compress", [gzip.compress, lambda data: packed(("IM1", data))], ids=["gzip", "zip"])
def test_an_inflated_file_takes_no_memory_of_the_server(compress: Callable[[bytes], bytes]) -> None:
    data = compress(bytes(20_000_000))
    tracemalloc.start()
    try:
        assert [len(file.content) for file in unpacked([SourceFile("sent.gz", data)], 4)] == [20_000_000]
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_gzip_archives_of_several_parts_are_read_whole() -> None:
    data = tarred(*FOUR)
    assert names(gzip.compress(data[:1000]) + gzip.compress(data[1000:])) == NAMES


def test_impossible_headers_of_a_tar_archive_are_damage() -> None:
    long_name = tarfile.TarInfo("././@LongLink")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 5
    chain = (long_name.tobuf(tarfile.GNU_FORMAT) + b"name".ljust(512, b"\x00")) * 2000
    negative = tarfile.TarInfo("IM1")
    negative.size = -5
    for data in (chain + tarred(*FOUR), negative.tobuf(tarfile.GNU_FORMAT) + bytes(2048)):
        with pytest.raises(UnreadableImage, match="damaged"):
            names(data)


def test_names_in_no_known_encoding_can_be_shown() -> None:
    entry = tarfile.TarInfo("\udcff.zip")
    entry.size = 512
    data = (
        entry.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape") + b"PK\x03\x04".ljust(512) + bytes(1024)
    )
    with pytest.raises(UnreadableImage) as raised:
        names(data)
    assert (
        str(raised.value).encode().decode()
        == "The archive \N{REPLACEMENT CHARACTER}.zip is damaged. Create it again."
    )


def test_links_and_devices_in_a_tar_archive_are_not_followed() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            entry = tarfile.TarInfo("IM9")
            entry.type, entry.linkname = kind, "/etc/passwd"
            archive.addfile(entry)
        entry = tarfile.TarInfo("../../IM1")
        entry.size = len(view(0))
        archive.addfile(entry, io.BytesIO(view(0)))
    assert names(stream.getvalue()) == ["../../IM1"]
