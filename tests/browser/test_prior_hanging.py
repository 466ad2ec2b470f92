"""A prior exam, retrieved from a real Orthanc by query and move, hangs below the current one."""

import re
from pathlib import Path

import numpy as np
import pytest
from axe import violations
from chromium import MOST_SHIFT, SHIFT
from playwright.sync_api import Locator, Page, expect
from server import Server

from tests.support import factories, orthanc
from tests.support.receiver import Receiver, wait_until

STUDIES = {"20220310": "1.2.826.0.3.1", "20240312": "1.2.826.0.3.2"}
SUGGESTED = "Compared with the prior mammogram (2 years earlier)."  # as dates are shifted
VIEWS = [side + view for view in ("CC", "MLO") for side in "RL"]


def write_study(folder: Path, day: str) -> list[Path]:
    """Four views of a study; those of both studies have the same pixels, so that equal views show equal placement."""
    left, paths = factories.breast(650, 520, seed=7), []
    for name in VIEWS:
        made = factories.dicom(np.ascontiguousarray(left[:, ::-1]) if name[0] == "R" else left)
        made.ImageLaterality, made.ViewPosition, made.StudyDate = name[0], name[1:], day
        made.StudyInstanceUID, made.SeriesInstanceUID = STUDIES[day], f"{STUDIES[day]}.1"
        made.PatientID, made.PatientBirthDate = "PRIOR-1", "19700102"
        made.WindowCenter, made.WindowWidth, made.PixelSpacing = 30000, 50000, [0.2, 0.2]
        paths.append(folder / f"{day}{name}.dcm")
        paths[-1].write_bytes(factories.dicom_bytes(made))
    return paths


def retrieve(folder: Path, server: Server) -> tuple[str, str]:
    """Store the earlier study in Orthanc and send the later one here; return the ids of the exams of both."""
    port = orthanc.free_port()
    with orthanc.serve(folder, receiver_port=port) as pacs:
        assert (
            Receiver(folder, pacs.dicom_port, {}).store(*write_study(folder, "20220310"), called=pacs.title)
            == 0
        )
        ours = Receiver(
            server.console.parent,
            port,
            pacs.as_destination()
            | {
                "BIRADS_DICOM_PORT": str(port),
                "BIRADS_DICOM_ALLOWED_AETS": f"MODALITY@127.0.0.1,{pacs.title}@127.0.0.1",
                "BIRADS_DICOM_STABLE_S": "1",
                "BIRADS_PACS_PRIORS": "1",
            },
        )
        with ours.running():
            assert ours.store(*write_study(folder, "20240312")) == 0
            wait_until(lambda: ours.query("SELECT 1 FROM exams WHERE status = 'prior'"))
        ((prior, current),) = ours.query(
            "SELECT prior.id, current.id FROM exams prior JOIN exams current USING (pseudonym) "
            "WHERE prior.status = 'prior' AND current.status = 'new'"
        )
        return prior, current


def cell(page: Page, label: str) -> Locator:
    return page.locator(".cell").filter(has=page.locator("figcaption b", has_text=re.compile(rf"^{label}$")))


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(page.locator(".cell:visible:not([aria-busy=false])")).to_have_count(0)


def picture(page: Page, label: str) -> str:
    return str(cell(page, label).locator("canvas").evaluate("(canvas) => canvas.toDataURL()"))


@pytest.mark.slow
def test_a_prior_from_orthanc_hangs_below_the_current_exam(
    page: Page, server: Server, tmp_path: Path
) -> None:
    prior, current = retrieve(tmp_path, server)
    page.goto(f"{server.url}/?list=prior")
    expect(page.get_by_role("row").filter(has=page.locator(f"a[href$='{prior}']"))).to_contain_text("Prior")
    page.goto(f"{server.url}/exams/{prior}")
    expect(page.get_by_text("Retrieved as a prior exam; not on the worklist.")).to_be_visible()
    page.wait_for_load_state()  # a page hears keys once its scripts are there
    page.keyboard.press("e")  # it has no prior itself
    expect(page.locator("[data-refusal]")).to_contain_text("E")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    expect(page.get_by_text("signed: BI-RADS").first).to_be_visible()

    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{server.url}/exams/{current}")
    press(page)
    assert page.evaluate(SHIFT) < MOST_SHIFT
    expect(page.get_by_label("Comparison")).to_have_value(SUGGESTED)
    expect(page.get_by_label("Comparison")).to_be_in_viewport(ratio=1)
    for view in VIEWS:
        above, below = cell(page, view).bounding_box(), cell(page, f"Prior {view}").bounding_box()
        assert above["x"] == below["x"] and above["width"] == below["width"] > 200
        assert above["y"] + above["height"] <= below["y"] and below["y"] + below["height"] <= 900
    seen = set()
    for keys in ((), ("+", "+"), ("ArrowDown", "ArrowLeft"), ("i",), ("Shift+ArrowUp",), ("z",)):
        press(page, *keys)
        seen.add(picture(page, "RCC"))
        assert all(picture(page, view) == picture(page, f"Prior {view}") for view in VIEWS), keys
    assert len(seen) == 6
    press(page, "y", "+")  # unlinked, the prior stays
    assert picture(page, "RCC") != picture(page, "Prior RCC")
    assert violations(page) == []
    press(page, "j")
    dialog = page.get_by_role("dialog", name="Report of the prior exam")
    expect(dialog).to_contain_text("BI-RADS 2")
    expect(dialog).to_contain_text("2 years earlier")
    assert violations(page) == []
    page.keyboard.press("Escape")
    press(page, "e")
    expect(cell(page, "Prior RCC")).to_be_hidden()
    expect(cell(page, "LMLO")).to_be_visible()
    expect(page.locator(".ai-change li")).to_have_count(2)

    page.set_viewport_size({"width": 390, "height": 420})
    page.goto(f"{server.url}/exams/{current}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    press(page, "1", "Enter")  # the suggestion is below the images
    expect(page.locator("[data-refusal]")).to_have_text(
        "Not signed: check the suggested comparison, then sign."
    )
    expect(page.get_by_label("Comparison")).to_be_in_viewport(ratio=1)
    page.keyboard.press("Enter")
    expect(page.get_by_text("signed: BI-RADS 1").first).to_be_visible()
    page.goto(f"{server.url}/exams/{current}/report")
    expect(page.get_by_text(SUGGESTED)).to_be_visible()
