"""Checks of plausibility: what passes, what is warned of, what is refused."""

import numpy as np
import pytest
from services.product_files import smooth_field, specification

from ingest.quality import CheckReport, check_month
from ingest.reader import ProductMonth
from ingest.summary import summarise
from storage.months import month

SPEC = specification()
GRID = SPEC.target_grid
FIELD = smooth_field(GRID)
OCEAN = np.isfinite(FIELD)
NO_YEARS = np.empty((0, *GRID.shape), dtype=np.float32)


def earlier_years(n: int = 8) -> np.ndarray:
    """Return years that differ a little from each other."""
    rng = np.random.default_rng(0)
    return np.stack([FIELD + np.float32(offset) for offset in rng.normal(0, 0.5, n)])


def check(field: np.ndarray, earlier: np.ndarray, when: str = "2018-01") -> CheckReport:
    unknown = np.full(GRID.shape, np.nan, dtype=np.float32)
    product_month = ProductMonth(
        month(when), GRID, field.astype(np.float32), unknown, None, "fco2", "mmol m-2 d-1"
    )
    return check_month(product_month, SPEC.limits, OCEAN, earlier)


def failed(report: CheckReport) -> set[str]:
    return {result.name for result in report.failures}


@pytest.mark.parametrize("earlier", [NO_YEARS, earlier_years()], ids=["first year", "later"])
def test_a_usual_month_passes_every_check(earlier: np.ndarray) -> None:
    report = check(FIELD, earlier)
    assert report.outcome == "accept"
    assert failed(report) == set()
    assert {"mean", "mask", "sign", "units", "valid-fraction"} <= {r.name for r in report.results}


def noise() -> np.ndarray:
    return FIELD + np.random.default_rng(1).normal(0, 2.0, GRID.shape)


def clouded(part: float) -> np.ndarray:
    return np.where(np.random.default_rng(2).random(GRID.shape) < part, np.nan, FIELD)


REJECTED = {
    "mostly clouds": (clouded(0.9), "valid-fraction"),
    "an impossible cell": (np.where(np.arange(GRID.n_lon) == 8, -500.0, FIELD), "range-low"),
    "values on land": (np.where(OCEAN, FIELD, -10.0), "mask"),
    "columns shifted": (np.roll(FIELD, -1, axis=1), "mask"),
    "sign flipped": (-FIELD, "sign"),
    "mol per year called mmol per day": (FIELD * 0.36525, "units"),
    "mol called mmol": (FIELD / 1000, "units"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_wrong_month_is_rejected_once_there_is_a_climatology(case: str) -> None:
    field, name = REJECTED[case]
    report = check(field, earlier_years())
    assert report.outcome == "reject"
    assert name in failed(report)


@pytest.mark.parametrize(
    "field", [-FIELD, FIELD * 0.36525, FIELD / 1000], ids=["sign", "per year", "mol"]
)
def test_the_unit_guard_knows_the_shelf_before_there_is_a_climatology(field: np.ndarray) -> None:
    report = check(field, NO_YEARS)
    assert report.outcome == "reject"
    assert "shelf-survey" in failed(report)


@pytest.mark.parametrize(
    ("field", "name"), [(FIELD - 5.0, "calendar-month"), (noise(), "jumpiness")]
)
def test_an_unusual_month_is_warned_of_not_rejected(field: np.ndarray, name: str) -> None:
    report = check(field, earlier_years())
    assert report.outcome == "warn"
    assert failed(report) == {name}


def test_a_month_without_values_does_not_pass_because_null_passes_ranges() -> None:
    report = check(np.where(OCEAN, np.nan, np.nan), earlier_years())
    assert report.outcome == "reject"


def test_failures_say_what_was_found_and_expected_in_which_region() -> None:
    report = check(FIELD * 0.36525, earlier_years())
    units = next(result for result in report.failures if result.name == "units")
    assert units.found.startswith("all 0.3")
    assert units.expected == "0.55 to 1.9"
    assert "units" in units.message


def test_few_earlier_years_are_not_compared_with() -> None:
    unknown = np.full(GRID.shape, np.nan, dtype=np.float32)
    few = ProductMonth(month("2018-01"), GRID, FIELD, unknown, None, "fco2", "")
    assert summarise(few, OCEAN, earlier_years(4))["z_score"].isna().all()
    assert summarise(few, OCEAN, earlier_years(5))["z_score"].notna().all()
