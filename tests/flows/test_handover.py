"""A product that follows another one puts no step into the record."""

import numpy as np
import pytest
from services.small_loop import GRID, PRODUCT, World, dataset, flux, ocean
from typer.testing import CliRunner

from flows.cli import app
from flows.operations.handover import NothingToHandOverError, fit_handover
from flows.operations.ingest import ingest
from flows.operations.refusals import HandOverNeededError
from ingest.handover.correction import HandOver
from ingest.handover.overlap import InsufficientOverlapError
from storage.handovers import current_handover
from storage.months import Month, calendar_month, month, month_range

FIRST_NEW = month("2013-01")
SEAM = month("2015-07")
LAST = month("2015-12")
NEXT = PRODUCT.replace("SMALL_", "NEXT_").replace("A small sea", "Another one")


def as_next(of: Month) -> np.ndarray:
    """Return a month as the new product has it: scaled, with a bias of the season, noisy."""
    season = 3.0 + 1.0 * np.cos(2 * np.pi * calendar_month(of) / 12)
    noise = np.random.default_rng(int(of.astype(int))).normal(0, 0.3, GRID.shape)
    return ((flux(of) - season) / 1.2 + noise).astype(np.float32)


def deliver(world: World, first: Month, last: Month) -> None:
    for of in month_range(first, last):
        year, number = str(of).split("-")
        path = world.home / "landing" / f"NEXT_{year}{number}.nc"
        dataset(of, as_next(of)).to_netcdf(path, engine="h5netcdf")


def error(field: np.ndarray, of: Month) -> float:
    """Return how much higher a field is than the truth, over all ocean cells."""
    return float(np.mean(field[ocean()] - flux(of)[ocean()]))


def step_at(n_before: int, errors: list[float]) -> tuple[float, float]:
    """Return the difference of means across a seam, and half its 95 % interval."""
    parts = np.array(errors[:n_before]), np.array(errors[n_before:])
    # At least what cells are rounded to.
    spread = np.sqrt(sum(part.var(ddof=1) / len(part) for part in parts)) + 0.02
    return float(parts[1].mean() - parts[0].mean()), 2.2 * float(spread)


@pytest.fixture
def followed(filled: World) -> World:
    """The filled world, with a second product from 2013 on."""
    (filled.home / "products" / "next.yaml").write_text(NEXT)
    deliver(filled, FIRST_NEW, LAST)
    return filled


def test_a_product_does_not_follow_another_one_unprepared(followed: World) -> None:
    before = followed.state()
    with pytest.raises(HandOverNeededError, match="tidenet handover --to next"):
        ingest(followed.workspace, "next")
    assert followed.state() == before


def test_the_new_product_goes_on_without_a_step(followed: World) -> None:
    fitted = fit_handover(followed.workspace, "next")
    done = {str(file.month): str(file.outcome) for file in ingest(followed.workspace, "next")}
    assert {of for of, outcome in done.items() if outcome == "committed"} == {
        str(of) for of in month_range(SEAM, LAST)
    }
    # Months that the first product delivered stay as they are.
    assert {outcome for of, outcome in done.items() if month(of) < SEAM} == {"kept"}
    record = followed.workspace.record()
    before = month_range(SEAM - 6, SEAM - 1)
    after = month_range(SEAM, LAST)
    held = [error(record.read_month(of).fco2, of) for of in (*before, *after)]
    step, interval = step_at(len(before), held)
    assert abs(step) < interval
    uncorrected = held[: len(before)] + [error(as_next(of), of) for of in after]
    step, interval = step_at(len(before), uncorrected)
    assert abs(step) > 2 * interval
    assert fitted.correction.rmse_after < 1


def test_what_was_fitted_is_in_the_archive_and_in_the_record(followed: World) -> None:
    fitted = fit_handover(followed.workspace, "next")
    kept = current_handover(followed.workspace.engine, "small", "next", GRID.name)
    assert kept is not None
    assert (kept.id, kept.fitted.n_months) == (fitted.id, 30)
    assert kept.fitted.rmse_after < 0.5 * kept.fitted.rmse_before
    assert np.mean([term.scale for term in kept.fitted.terms]) == pytest.approx(1.2, abs=0.1)
    [kept_in_record] = followed.workspace.record().handovers()
    assert HandOver.from_json(kept_in_record) == fitted.correction
    ingest(followed.workspace, "next")
    assert followed.rows(
        "SELECT DISTINCT handover_id FROM month_revisions WHERE month >= '2015-07-01'"
    ) == [(fitted.id,)]
    # Fitting again on the same months changes nothing.
    before = followed.state()
    assert fit_handover(followed.workspace, "next").id == fitted.id
    assert followed.state() == before


def test_too_short_an_overlap_is_refused_with_what_is_missing(followed: World) -> None:
    for of in month_range(FIRST_NEW, month("2014-02")):
        (followed.home / "landing" / f"NEXT_{str(of).replace('-', '')}.nc").unlink()
    with pytest.raises(InsufficientOverlapError, match="24"):
        fit_handover(followed.workspace, "next")
    assert followed.workspace.record().handovers() == ()


def test_a_product_is_not_handed_over_to_itself(filled: World) -> None:
    with pytest.raises(NothingToHandOverError, match="all from small"):
        fit_handover(filled.workspace, "small")


def test_the_command_line_shows_what_was_fitted(followed: World) -> None:
    answer = CliRunner().invoke(app, ["--home", str(followed.home), "handover", "--to", "next"])
    assert answer.exit_code == 0, answer.output
    assert "30 common" in answer.output.replace("\n", " ")
