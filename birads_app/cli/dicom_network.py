"""The commands ``flask dicom``: receive, fetch, status, retry."""

import threading
from datetime import datetime

import click
from flask import Flask, current_app
from flask.cli import AppGroup

from birads_app.cli.console_errors import one_line_errors
from birads_app.cli.stop_signal import StopSignal
from birads_app.compute import allocator
from birads_app.config import Settings, SettingsError
from birads_app.monitoring import instruments
from birads_app.records import (
    audit_log,
    derivation_queue,
    fetch_problems,
    outbox,
    prior_searches,
    spool,
    users,
)
from birads_app.services import startup

# What speaks to the network is imported when it is needed: web workers never do.

dicom_group = AppGroup("dicom", help="Receive studies from modalities and the PACS, and send results back.")
_DATE = click.DateTime(["%Y-%m-%d", "%Y%m%d"])


def init_app(app: Flask) -> None:
    """Add the commands to the application."""
    app.cli.add_command(dicom_group)


@dicom_group.command("receive")
def receive() -> None:
    """Receive studies as exams until stopped, and send the results to the PACS."""
    from birads_app.pacs import worker
    from birads_app.pacs.results import destination_of
    from birads_app.pacs.storage_scp import Provider

    settings, stop = _settings(), threading.Event()
    if not settings.dicom_allowed_aets:
        raise SettingsError(
            "No sender is allowed. List the senders in BIRADS_DICOM_ALLOWED_AETS as TITLE@ADDRESS."
        )
    destination = destination_of(settings)
    with one_line_errors():
        users.network_account()
        received = spool.of_app()
        provider = Provider(settings, received)
        startup.join()
    allocator.configure_serving()
    instruments.count_start("receive")
    derivation_queue.of_app().start()
    with received.alone(wait=True):
        received.remove_leftovers()
        stop_signal = StopSignal()
        click.echo(
            f"{settings.dicom_ae_title} listens at {settings.dicom_bind}:{settings.dicom_port}; "
            f"results are {f'sent to {destination}' if destination else 'not sent: no PACS is configured'}."
        )
        threads = worker.start(current_app._get_current_object(), stop)  # type: ignore[attr-defined]
        try:
            provider.serve(stop_signal.wait)
            click.echo("Stopping.")
        finally:
            stop.set()
            for thread in threads:
                thread.join()
            derivation_queue.of_app().stop()


@dicom_group.command("fetch")
@click.option("--study", metavar="UID", help="Study Instance UID.")
@click.option("--from", "first", type=_DATE, help="First study date, with --to.")
@click.option("--to", "last", type=_DATE, help="Last study date.")
@click.option("--modality", default="MG", show_default=True, help="Modality of the studies, with --from.")
def fetch(study: str | None, first: datetime | None, last: datetime | None, modality: str) -> None:
    """Fetch studies from the DICOMweb server as exams. Images already stored are skipped."""
    from birads_app.pacs import dicomweb_client, worker
    from birads_app.pacs.fetch import fetch_studies
    from birads_app.pacs.results import dicom_web_of

    server = dicom_web_of(_settings())
    if server is None:
        raise SettingsError("No DICOMweb server is configured. Set BIRADS_PACS_DICOMWEB_URL.")
    if bool(study) == bool(first and last):
        raise click.UsageError("Give either --study UID, or --from DATE and --to DATE.")
    with one_line_errors():
        startup.join()
        received = spool.of_app()
        if first and last:
            study_uids = dicomweb_client.find_studies(server, f"{first:%Y%m%d}", f"{last:%Y%m%d}", modality)
        else:
            study_uids = [study or ""]
        audit_log.log(users.NETWORK_NAME, "fetch studies", str(len(study_uids)))
        fetched = fetch_studies(server, study_uids, received, click.echo)
        counts = list(fetched.counts.values())
        click.echo(
            f"Studies with new images: {sum(map(bool, counts))} of {len(study_uids)}. Images fetched: {sum(counts)}."
        )
        if study and counts == [0]:
            click.echo("All images of the study are stored already, or it has none that can be mammograms.")
        with received.alone(wait=False) as alone:
            if alone:
                worker.ingest_stable_studies(0)
                worker.retrieve_priors()
                worker.ingest_stable_studies(0)
                worker.deliver()
            elif any(counts):
                click.echo("The running `flask dicom receive` makes exams of them.")
        if fetched.failures:
            reasons = " ".join(dict.fromkeys(fetched.failures.values()))
            raise click.ClickException(
                f"Studies that were not fetched: {len(fetched.failures)} of {len(study_uids)}. {reasons}"
            )


@dicom_group.command("status")
def status() -> None:
    """Show waiting studies and results, and reasons for failures."""
    with one_line_errors():
        counts, failing, unfetched = outbox.counts(), outbox.failing(), fetch_problems.listing()
        searches = prior_searches.failing()
    click.echo(f"Studies that are not exams yet: {spool.of_app().studies()}")
    for state, title in (("waiting", "to be sent"), ("stopped", "stopped"), ("sent", "sent")):
        click.echo(f"Results and reports {title}: {counts.get(state, 0)}")
    for problem in unfetched:
        click.echo(f"\nStudy {problem.study_uid} was not fetched on {problem.at:%Y-%m-%d %H:%M:%S} UTC")
        click.echo(f"  {problem.reason}")
    for search in searches:
        when = "stopped" if search.state == "stopped" else f"again at {search.due_at:%Y-%m-%d %H:%M:%S} UTC"
        click.echo(
            f"\nPriors of exam {search.exam_id}: not retrieved after {search.attempts} attempts, {when}"
        )
        click.echo(f"  {search.error}")
    for delivery in failing:
        when = "" if delivery.state == "stopped" else f", again at {delivery.due_at:%Y-%m-%d %H:%M:%S} UTC"
        what = "Exam" if delivery.assessment_id is None else "Report on exam"
        click.echo(f"\n{what} {delivery.exam_id}: {delivery.state} after {delivery.attempts} attempts{when}")
        click.echo(f"  {delivery.error}")
    if counts.get("stopped"):
        click.echo("\nOnce the reason is gone, `flask dicom retry` sends them again.")


@dicom_group.command("retry")
def retry() -> None:
    """Send failed results again, and request priors again. `flask dicom receive` does so at once."""
    with one_line_errors():
        click.echo(f"To be sent again: {outbox.retry_all()}")
        click.echo(f"Priors to be requested again: {prior_searches.retry_all()}")


def _settings() -> Settings:
    configured: Settings = current_app.extensions["birads_settings"]
    return configured
