"""What the Prefect UI shows of a run, beside what the archive holds."""

import io
import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from markdown_it import MarkdownIt
from PIL import Image
from services.archive_samples import NOW, check, committed, file_seen, later, model_version
from services.small_loop import World, dataset, flux

from flows.operations.artifacts import (
    N_DETAILED,
    forecast_map,
    forecast_summary,
    promotion_report,
    skill_report,
    validation_report,
)
from flows.operations.forecast import forecast
from flows.operations.markdown import code, plain, table
from flows.operations.verify import verify
from storage import ledger
from storage.archive import UnknownRunError
from storage.months import month, month_range
from storage.registry import Promotion, UnknownModelError, record_promotion, register_model

Row = list[str]


def html(markdown: str) -> str:
    return MarkdownIt("commonmark").enable("table").render(markdown)


def cells(markdown: str) -> list[list[Row]]:
    """Return the text of every cell of every table, headings first, as a browser shows it."""
    tables = re.findall(r"<table>(.*?)</table>", html(markdown), re.DOTALL)
    rows = [re.findall(r"<tr>(.*?)</tr>", one, re.DOTALL) for one in tables]
    return [[re.findall(r"<t[hd].*?>(.*?)</t[hd]>", row, re.DOTALL) for row in t] for t in rows]


# --- markdown -------------------------------------------------------------------------------------

HOSTILE = (
    "a | b",
    "<script>alert(1)</script>",
    "![x](http://evil/)",
    "two\nlines",
    "`tick`",
    "**no** _no_ &amp; \\",
)


@pytest.mark.parametrize("text", HOSTILE)
def test_whatever_a_file_says_stays_text_in_its_cell(text: str) -> None:
    [[_, [first, second, third]]] = cells(table(("1", "2", "3"), [[plain(text), code(text), "z"]]))
    shown = first.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"')
    assert shown.replace("&amp;", "&") == " ".join(text.split())
    assert second.startswith("<code>") and "<script" not in second and "<img" not in second
    assert third == "z"


# --- months ---------------------------------------------------------------------------------------


@pytest.fixture
def received(filled: World) -> World:
    """A month that is sound, one that is damaged, and one that waits for it."""
    filled.deliver("2015-07")
    filled.deliver("2015-08", dataset(month("2015-08"), flux(month("2015-08")) * 100))
    filled.deliver("2015-09")
    looked_at = filled.outcomes("2015-07", "2015-08", "2015-09")
    assert list(looked_at.values()) == ["committed", "quarantined", "waiting"]
    return filled


def test_a_report_says_of_each_month_what_became_of_it(received: World) -> None:
    months = [month(text) for text in ("2015-09", "2015-08", "2015-07", "2015-10")]
    text = validation_report(received.workspace, "small", months)
    [heading, *rows], *_ = cells(text)
    assert heading[:2] == ["month", "outcome"]
    assert [(row[0], row[1]) for row in rows] == [
        ("2015-07", "committed"),
        ("2015-08", "<strong>quarantined</strong>"),
        ("2015-09", "<strong>waiting</strong>"),
        ("2015-10", "nothing known"),
    ]
    [(observed, completed, sha256)] = received.rows(
        "SELECT 100.0 * n_observed / n_ocean, 100.0 * n_completed / n_ocean, file_sha256 "
        "FROM latest_months WHERE month = '2015-07-01'"
    )
    assert 0 < completed < 100
    assert rows[0][2:6] == [
        "<code>SMALL_201507.nc</code>",
        f"<code>{sha256[:12]}</code>",
        f"{observed:.1f}%",
        f"{completed:.1f}%",
    ]


def test_a_refused_month_says_why_and_what_to_do_with_every_check(received: World) -> None:
    text = validation_report(received.workspace, "small", [month("2015-08")])
    [file] = ledger.open_quarantine(received.workspace.engine)
    assert plain(file.message) in text
    assert f"**What to do:** {plain(file.remedy)}" in text
    [summary, checks] = cells(text)
    known = ledger.checks_of(received.workspace.engine, file.product_file_id)
    n_passed = sum(one.passed for one in known)
    assert 0 < n_passed < len(known)
    assert summary[1][-1] == f"{n_passed} of {len(known)}"
    assert sorted(row[0] for row in checks[1:]) == sorted(one.name for one in known)
    failed = [row for row in checks[1:] if row[1].startswith("<strong>no")]
    assert failed == checks[1 : 1 + len(known) - n_passed]
    assert all(found and expected for _, _, found, expected in failed)


def test_months_of_other_products_are_not_reported(received: World) -> None:
    text = validation_report(received.workspace, "other", [month("2015-08"), month("2015-07")])
    assert [row[1] for row in cells(text)[0][1:]] == ["nothing known"] * 2
    assert "No month" in validation_report(received.workspace, "small", [])


def test_a_first_ingest_lists_every_month_and_the_checks_of_the_newest(filled: World) -> None:
    months = month_range(month("2010-01"), month("2015-06"))
    summary, *detailed = cells(validation_report(filled.workspace, "small", months))
    assert len(summary) == 1 + len(months)
    assert len(detailed) == N_DETAILED


def test_a_revised_month_says_which_revision_and_why(received: World) -> None:
    engine = received.workspace.engine
    ledger.record_accepted(
        engine,
        file_seen("2015-07", product="small", stage="preliminary"),
        [check()],
        committed("2015-07", 2, reason="a better | sensor"),
    )
    text = validation_report(received.workspace, "small", [month("2015-07")])
    [_, row] = cells(text)[0]
    assert row[1] == "revised (revision 2), preliminary"
    assert "2015-07, a better | sensor" in html(text)


# --- a forecast -----------------------------------------------------------------------------------


def test_a_summary_has_every_region_and_lead_as_archived(trained: World) -> None:
    run = forecast(trained.workspace)
    text = forecast_summary(trained.workspace, run.run_id)
    [[_, *rows]] = cells(text)
    archived = trained.rows(
        "SELECT region, lead_months, valid_month, mean, q05, q95, flux_tgc_mean "
        f"FROM regional_predictions WHERE run_id = '{run.run_id}'"
    )
    expected = {
        (region, str(lead), str(valid)[:7], f"{mean:+.2f}", f"{low:+.2f}", f"{high:+.2f}")
        for region, lead, valid, mean, low, high, _ in archived
    }
    assert {tuple(row[:6]) for row in rows} == expected
    assert [row[:2] for row in rows[:6]] == [["all", str(lead)] for lead in range(1, 7)]
    assert {row[7] for row in rows} == {f"{tgc:+.3f}" for *_, tgc in archived}
    assert run.run_id in text
    assert "Degraded" not in text


def test_a_degraded_run_says_so_first_and_on_its_map(trained: World) -> None:
    stale = World(trained.home, changes={"stale_months": 1})
    run = forecast(stale.workspace)
    [(reason,)] = stale.rows("SELECT degraded_reason FROM forecast_runs WHERE degraded")
    text = forecast_summary(stale.workspace, run.run_id)
    assert html(text).startswith(f"<p><strong>Degraded: {reason}</strong></p>")
    assert Image.open(io.BytesIO(forecast_map(stale.workspace, run.run_id))).format == "PNG"


def test_a_map_is_a_small_picture_of_this_run(trained: World) -> None:
    workspace = trained.workspace
    runs = [forecast(workspace), forecast(workspace, init=month("2014-12"))]
    drawn = [forecast_map(workspace, run.run_id) for run in runs]
    assert drawn[0] == forecast_map(workspace, runs[0].run_id)
    assert all(len(png) < 300_000 for png in drawn)
    pictures = [np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), int) for png in drawn]
    for picture in pictures:
        rows, columns, _ = picture.shape
        assert 400 < rows < 1200 and 400 < columns < 1600
        blue = (picture[..., 2] - picture[..., 0] > 60).mean()
        assert blue > 0.05  # the sea takes up carbon
        assert (picture == 0.82 * 255 // 1).all(axis=-1).mean() > 0.02  # land
    assert pictures[0].shape == pictures[1].shape
    assert (pictures[0] != pictures[1]).any(axis=-1).mean() > 0.1


def test_a_run_that_is_not_there_is_named(trained: World) -> None:
    for show in (forecast_summary, forecast_map):
        with pytest.raises(UnknownRunError, match="no-such-run"):
            show(trained.workspace, "no-such-run")


# --- models ---------------------------------------------------------------------------------------


def test_skill_is_that_of_the_archive_and_fit_for_a_table(trained: World) -> None:
    assert skill_report(trained.workspace, "small-sea") == []
    for init in ("2014-06", "2014-12"):
        forecast(trained.workspace, init=month(init))
    verify(trained.workspace)
    rows = skill_report(trained.workspace, "small-sea")
    archived = trained.rows(
        "SELECT lead_months, n_months, msss_climatology, crpss, rmse, coverage_90 "
        "FROM skill_by_lead WHERE region = 'all' ORDER BY lead_months"
    )
    assert [
        (row["lead"], row["months"], row["MSSS, climatology"], row["CRPSS"], row["inside 90 %"])
        for row in rows
    ] == [
        (str(lead), str(n), f"{msss:+.2f}", f"{crpss:+.2f}", f"{inside:.0%}")
        for lead, n, msss, crpss, _, inside in archived
    ]
    assert [row["RMSE, mmol m-2 d-1"] for row in rows] == [f"{r[4]:.2f}" for r in archived]
    assert {row["forecasts"] for row in rows} == {"backfill"}
    assert json.loads(json.dumps(rows)) == rows
    assert skill_report(trained.workspace, "another-grid") == []


def only(trained: World, statement: str) -> Any:
    [(value,)] = trained.rows(statement)
    return value


def test_a_promotion_says_who_when_why_by_which_figures_and_on_what(trained: World) -> None:
    version = only(trained, "SELECT model_version FROM champion")
    text = promotion_report(trained.workspace, version)
    shown = html(text)
    assert "<h2>Promoted (first), 2016-01-15 12:00 UTC</h2>" in shown
    assert plain(only(trained, "SELECT reason FROM promotions")) in text
    assert f"By {plain(only(trained, 'SELECT decided_by FROM promotions'))}:" in text
    assert only(trained, "SELECT hardware FROM model_versions") in shown
    [[_, *rows]] = cells(text)
    figures = trained.rows("SELECT rival, lead_months, rmse, rmse_rival FROM promotion_figures")
    assert {(row[0], row[1], row[4], row[5]) for row in rows} == {
        (rival, str(lead) if lead else "all", f"{rmse:.3f}", f"{its:.3f}")
        for rival, lead, rmse, its in figures
    }


def test_decisions_stand_newest_first_and_say_which_model_they_left_in_service(
    trained: World,
) -> None:
    engine = trained.workspace.engine
    champion = only(trained, "SELECT model_version FROM champion")
    challenger = model_version("challenger", grid="small-sea", placement="a GPU, none came")
    register_model(engine, challenger)
    assert "Nothing was decided" in promotion_report(trained.workspace, "challenger")
    refused = Promotion("challenger", False, "no | better", "the gate", NOW, {}, champion)
    record_promotion(engine, refused)
    by_hand = replace(refused, promoted=True, kind="by-hand", decided_at=later(1))
    record_promotion(engine, by_hand)
    text = promotion_report(trained.workspace, "challenger")
    verdicts = re.findall("^## (.*promoted.*),", text, re.MULTILINE | re.IGNORECASE)
    assert verdicts == ["Promoted (by-hand)", "Not promoted (gate)"]
    assert text.count(f"Champion at the time: {plain(champion)}.") == 2
    assert "By the gate: no | better" in html(text)
    assert "a GPU, none came" in text


def test_a_model_that_is_not_registered_is_named(trained: World) -> None:
    with pytest.raises(UnknownModelError, match="no-such-model"):
        promotion_report(trained.workspace, "no-such-model")
