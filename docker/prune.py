"""Remove from the packages of the image `web` what serving never loads: python prune.py

Reduces the image by a quarter. tests/image opens each kind of file and page in the image that remains.
"""

import filecmp
import shutil
import sys
import sysconfig
from pathlib import Path

INSTALLERS = ("pip", "pip-*", "setuptools", "setuptools-*", "pkg_resources", "_distutils_hack", "distutils-*")
UNUSED = (
    # Tests of packages.
    "*/tests",
    "*/*/tests",
    "pydicom/data/test_files",
    "pydicom/data/charset_files",
    # OpenVINO: graphics processors and NPUs, model formats other than TensorFlow's and its own, headers for C++.
    "openvino/libs/libopenvino_intel_gpu_plugin.*",
    "openvino/libs/libopenvino_intel_npu_plugin.*",
    "openvino/libs/cache.json",
    "openvino/libs/libopenvino_gguf_frontend.*",
    "openvino/libs/libopenvino_jax_frontend.*",
    "openvino/libs/libopenvino_onnx_frontend.*",
    "openvino/libs/libopenvino_paddle_frontend.*",
    "openvino/libs/libopenvino_pytorch_frontend.*",
    "openvino/libs/libopenvino_tensorflow_lite_frontend.*",
    "openvino/include",
    "openvino/cmake",
    # Libraries of the parts of imagecodecs below.
    "imagecodecs.libs",
)
# Folders' files of which only some are used, by the beginning of their names.
PARTLY_USED = {
    "imagecodecs/_*.so": ("_imcd.", "_shared"),  # RLE
    "babel/locale-data/*.dat": ("root.", "en.", "en_", "de.", "de_"),  # the languages of the pages
}
LINK_FROM = 1 << 16  # bytes; smaller files are not worth a link


def remove(site: Path, pattern: str, kept: tuple[str, ...] = (), required: bool = True) -> None:
    """Remove files and folders but the kept ones, named by their beginnings; a package that lacks them has changed."""
    found = [path for path in site.glob(pattern) if not (kept and path.name.startswith(kept))]
    if required and not found:
        raise SystemExit(f"{pattern} matches nothing in {site}: update {__file__}")
    for path in found:
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def link_copies(folder: Path) -> None:
    """Replace copies of a library in a folder by links: wheels hold no links, so each of its names is a copy."""
    kept: list[Path] = []
    for path in sorted(folder.glob("*.so*"), key=lambda path: -len(path.name)):
        if path.is_symlink() or path.stat().st_size < LINK_FROM:
            continue
        original = next((other for other in kept if filecmp.cmp(path, other, shallow=False)), None)
        if original is None:
            kept.append(path)
        else:
            path.unlink()
            path.symlink_to(original.name)


def main() -> None:
    """Prune the packages of the environment that runs this."""
    if sys.prefix == sys.base_prefix:
        raise SystemExit("Run this with the Python of the virtual environment to prune.")
    site = Path(sysconfig.get_path("purelib"))
    for pattern in UNUSED:
        remove(site, pattern)
    for pattern, kept in PARTLY_USED.items():
        remove(site, pattern, kept)
    link_copies(site / "_gdcm")
    for pattern in INSTALLERS:
        remove(site, pattern, required=False)


if __name__ == "__main__":
    main()
