"""Banners of models that are not to be relied on, on every page that a model has part in."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from flask import Flask, current_app
from flask_babel import gettext as _

from birads_app.model import registry
from birads_app.model.bundles import Bundle
from birads_app.terms.errors import ModelError
from birads_app.web.wording import translated


@dataclass(frozen=True)
class ModelBanner:
    """Banner of one model.

    title : its beginning, in bold
    text : the reasons
    name : of the model; empty if it has no card any more
    """

    title: str
    text: str
    name: str


def init_app(app: Flask) -> None:
    """Register the template function."""
    app.add_template_global(model_banners)


def model_banners(named: Iterable[str | None] = (), result_of: str = "") -> list[ModelBanner]:
    """Return the banners of the model in service and of those that a page names.

    Parameters
    ----------
    named : models of the page; None for none
    result_of : model of an exam whose result is marked, which keeps its banner although it may be deleted
    """
    active = serving()
    bundles_by_name = {active.name: active} if active else {}
    others = {name for name in (*named, result_of) if name} - bundles_by_name.keys()
    bundles_by_name |= {bundle.name: bundle for bundle in _bundles(sorted(others))}
    found = [_banner(bundle) for bundle in bundles_by_name.values() if bundle.cautions]
    if result_of and result_of not in {banner.name for banner in found}:
        text = _(
            "The result of this exam is that of a model which is not to be relied on: “%(name)s”.",
            name=result_of,
        )
        found.append(
            ModelBanner(_("Not for diagnosis."), text, result_of if result_of in bundles_by_name else "")
        )
    return found


def _bundles(names: Iterable[str]) -> Iterator[Bundle]:
    """Yield the bundles that exist and are intact."""
    for name in names:
        try:
            yield registry.find(current_app.extensions["birads_settings"].models, name)
        except ModelError:
            continue


def serving() -> Bundle | None:
    """Return the active model, or None."""
    try:
        bundle: Bundle = current_app.extensions["birads_models"].get().bundle
    except ModelError:
        return None
    return bundle


def _banner(bundle: Bundle) -> ModelBanner:
    if bundle.demonstration:
        text = _(
            "“%(name)s” was trained on small public datasets. For demonstration only: its results are often wrong.",
            name=bundle.name,
        )
        return ModelBanner(_("Demonstration model."), text, bundle.name)
    reasons = " ".join(translated(caution) for caution in bundle.cautions)
    text = _("“%(name)s” is not to be relied on. %(reasons)s", name=bundle.name, reasons=reasons)
    return ModelBanner(_("Not for diagnosis."), text, bundle.name)
