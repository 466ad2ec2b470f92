"""What speaks against trusting an answer is said once, with the views that it is about."""

from flask import Flask

from birads_app.records import summary
from birads_app.records.schema import Exam, Image
from birads_app.web.caveats import Doubt, doubts


def image(view: str, *warnings: str, side: str = "R") -> Image:
    return Image(laterality=side, view=view, probabilities={"1": 1.0}, warnings=list(warnings), standard=True)


def test_a_warning_of_several_views_is_one_doubt(app: Flask) -> None:
    exam = Exam(images=[image("MLO", "Small.", "Dark."), image("CC", "Small.", side="L"), image("CC")])
    with app.app_context():
        found = doubts(exam, summary.aggregate(exam.images, "mean"))
    assert found == [
        Doubt("Missing views: LMLO. Areas not imaged are not assessed."),
        Doubt("Small.", ("LCC", "RMLO")),
        Doubt("Dark.", ("RMLO",)),
    ]


def test_what_is_true_of_every_view_names_none(app: Flask) -> None:
    exam = Exam(images=[image("MLO", "Dark."), image("CC", "Dark.")])
    with app.app_context():
        assert doubts(exam, None) == [Doubt("Dark.")]
