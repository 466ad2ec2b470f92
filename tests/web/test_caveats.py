"""Reasons for caution appear once, with the views concerned."""

from flask import Flask

from birads_app.model import aggregation
from birads_app.model.image_prediction import ImagePrediction
from birads_app.records.schema import Exam, Image
from birads_app.web.caveats import Caveat, caveats


def image(view: str, *warnings: str, side: str = "R") -> Image:
    return Image(
        laterality=side,
        view=view,
        role="standard",
        prediction=ImagePrediction("1", {"1": 1.0}, warnings=warnings),
    )


def test_a_warning_of_several_views_is_one_caveat(app: Flask) -> None:
    exam = Exam(images=[image("MLO", "Small.", "Dark."), image("CC", "Small.", side="L"), image("CC")])
    with app.app_context():
        found = caveats(exam, aggregation.aggregate(exam.images, "mean"))
    assert found == [
        Caveat("Missing views: LMLO. Areas not imaged are not assessed."),
        Caveat("Small.", ("LCC", "RMLO")),
        Caveat("Dark.", ("RMLO",)),
    ]


def test_a_caveat_of_every_view_names_no_view(app: Flask) -> None:
    exam = Exam(images=[image("MLO", "Dark."), image("CC", "Dark.")])
    with app.app_context():
        assert caveats(exam, None) == [Caveat("Dark.")]
