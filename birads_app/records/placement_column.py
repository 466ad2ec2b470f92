"""Column of the breast's position in an image: its JSON."""

from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from birads_app.imaging.placement import Placement


class PlacementColumn(TypeDecorator[Placement]):
    """Placement as one JSON document."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Placement | None, dialect: Dialect) -> dict[str, Any] | None:
        return None if value is None else value.to_json()

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> Placement | None:
        return None if value is None else Placement.from_json(value)
