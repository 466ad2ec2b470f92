"""Feature store on disk, so that the next training on the same images starts at once."""

from birads_app.model import preprocess
from training.config import Site
from training.data.row_store import RowStore
from training.features.extractor import Extractor


def open_store(site: Site, extractor: Extractor, rows: str, width: int) -> RowStore:
    """Open or create the store of one kind of features; its folder's name holds all they depend on but the image.

    Parameters
    ----------
    rows : name of the kind of features
    width : values per image
    """
    backbone = f"{extractor.digest[:16]}-v{preprocess.VERSION}-{extractor.size}"
    name = f"{backbone}-{site.engine}-{site.precision}-{rows}-{width}"
    return RowStore(site.cache / "features" / name, width)
