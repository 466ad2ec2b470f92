"""The command ``flask score``."""

from pathlib import Path
from typing import TYPE_CHECKING

import click
from flask import Flask, current_app
from flask.cli import with_appcontext

from birads_app.cli.console_errors import one_line_errors
from birads_app.cli.interruption import cleaning_up
from birads_app.config import Settings
from birads_app.model import bundles, registry
from birads_app.terms.counts import counted

if TYPE_CHECKING:
    from birads_app.scoring.scoring_run import ScoringSummary

# What speaks to the network is imported when it is needed: web workers never do.


def init_app(app: Flask) -> None:
    """Add the command to the application."""
    app.cli.add_command(score)


@click.command()
@click.option(
    "--data",
    required=True,
    metavar="SOURCE",
    help="Folder, CSV or Parquet table with a column of paths, or dicomweb:StudyDate=FIRST-LAST.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of results, such as results.parquet. The same command continues an interrupted one.",
)
@click.option("--scheduler", metavar="ADDRESS", help="Dask scheduler, such as tcp://10.0.0.5:8786.")
@click.option(
    "--processes",
    type=click.IntRange(1, 1024),
    help="Processes on this machine without --scheduler; all cores by default.",
)
@click.option("--paths", is_flag=True, help="Also write the path of each image, which may name a patient.")
@click.option(
    "--files",
    default=64,
    show_default=True,
    type=click.IntRange(1, 10_000),
    help="Files of a partition, which is the unit of work and of writing.",
)
@with_appcontext
def score(
    data: str, out: Path, scheduler: str | None, processes: int | None, paths: bool, files: int
) -> None:
    """Predict all images of an archive with the model that serves, and write tables of results.

    Files that cannot be used are listed in OUT/_failures.csv. The exit status is 1 if the work is not complete.
    """
    if scheduler and processes:
        raise click.UsageError("--processes is for work without --scheduler.")
    try:
        with one_line_errors(), cleaning_up():
            summary = _scored(data, out.resolve(), scheduler, processes, paths, files)
    except KeyboardInterrupt:
        raise click.ClickException(
            "Interrupted. Finished partitions are kept; the same command continues."
        ) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise click.ClickException(
            f"{error.strerror or error}{where}. Finished partitions are kept; the same command continues."
        ) from error
    click.echo(
        f"{out}: {_items(summary)} scored, {counted(summary.exams, 'exam')}; "
        f"unusable: {counted(summary.failed, 'file')}."
    )
    if summary.unfinished:
        numbers = ", ".join(map(str, summary.unfinished[:10]))
        raise click.ClickException(
            f"The workers of {counted(len(summary.unfinished), 'partition')} ended again and again: {numbers}. The "
            "same command tries them again."
        )


def _scored(
    data: str, out: Path, scheduler: str | None, processes: int | None, paths: bool, files: int
) -> "ScoringSummary":
    from birads_app.deid.pseudonyms import site_pseudonyms
    from birads_app.pacs.results import dicom_web_of
    from birads_app.scoring.partitions import listing_of
    from birads_app.scoring.result_parts import ResultParts
    from birads_app.scoring.scorer import ScoringTask
    from birads_app.scoring.scoring_run import score_archive

    settings: Settings = current_app.extensions["birads_settings"]
    models = settings.models.resolve()
    bundle = bundles.load(models / registry.current_name(models))
    listing = listing_of(data, out, dicom_web_of(settings), files)
    task = ScoringTask(
        model=bundle.path,
        engine=settings.engine,
        precision=settings.precision,
        tomosynthesis=settings.tomosynthesis,
        facts={},
        folder=listing.folder,
        server=listing.server,
    )
    run = {
        "source": data if listing.folder is None else str(Path(data).resolve()),
        "model name": bundle.name,
        "engine": settings.engine,
        "precision": settings.precision,
        "tomosynthesis": settings.tomosynthesis,
        "files of a partition": files,
        "paths": paths,
    }
    results = ResultParts(out, bundle.classes, site_pseudonyms(), bundle.name, bundle.digest, paths)
    return score_archive(
        listing,
        task,
        results,
        run,
        bundle.pooling,
        scheduler,
        processes,
        lambda line: click.echo(line, err=True),
    )


def _items(summary: "ScoringSummary") -> str:
    scored = summary.items - summary.left
    return counted(scored, "study", "studies") if summary.unit == "study" else counted(scored, "file")
