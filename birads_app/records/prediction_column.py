"""Column of an image's prediction: its JSON, with messages as code and values."""

from typing import Any

from sqlalchemy import JSON, Dialect
from sqlalchemy.types import TypeDecorator

from birads_app.model.image_prediction import ImagePrediction
from birads_app.records.message_columns import packed, unpacked


class PredictionColumn(TypeDecorator[ImagePrediction]):
    """Prediction as one JSON document."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: ImagePrediction | None, dialect: Dialect) -> dict[str, Any] | None:
        stored: dict[str, Any] | None = None if value is None else packed(value.to_json())
        return stored

    def process_result_value(self, value: dict[str, Any] | None, dialect: Dialect) -> ImagePrediction | None:
        return None if value is None else ImagePrediction.from_json(unpacked(value))
