"""Whether a month can be trusted: statistical checks with Great Expectations on its summary.

A failed check of severity *error* refuses the month. A failed *warning* refuses it too, until a
person accepts the file with a reason. Structural errors are refusals of the reader and cannot be
accepted.
"""

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ingest.reader import ProductMonth
from ingest.specification import Limits
from ingest.summary import summarise
from storage.check_result import CheckResult, Severity
from storage.months import Month

if TYPE_CHECKING:
    import pandas as pd

MAXIMUM_Z_SCORE = 6.0
MAXIMUM_JUMPINESS = 0.15
MAXIMUM_LAND_FRACTION = 0.002
AMPLITUDES = 0.55, 1.9
MINIMUM_PATTERN = 0.0

Outcome = Literal["accept", "warn", "reject"]


@dataclass(frozen=True)
class CheckReport:
    """What all checks of a month said.

    Parameters
    ----------
    month
        The month.
    results
        One result a check.
    """

    month: Month
    results: tuple[CheckResult, ...]

    @property
    def failures(self) -> tuple[CheckResult, ...]:
        """The checks that failed."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def outcome(self) -> Outcome:
        """``reject`` after a failed error, ``warn`` after a failed warning, else ``accept``."""
        severities = {result.severity for result in self.failures}
        if "error" in severities:
            return "reject"
        return "warn" if severities else "accept"


@dataclass(frozen=True)
class _Rule:
    """One expectation on a column of the summary, and the words for it."""

    name: str
    column: str
    severity: Severity
    low: float | None
    high: float | None
    message: str

    @property
    def expected(self) -> str:
        """The allowed range in words."""
        if self.low is None:
            return f"at most {self.high:g}"
        return f"at least {self.low:g}" if self.high is None else f"{self.low:g} to {self.high:g}"


PRESENT_RULES = tuple(
    _Rule(f"{column}-present", column, "error", None, None, f"The {column} cannot be told.")
    for column in ("minimum", "maximum", "mean")
)
"""Rules on columns that must have a value: a null passes every range."""


def check_month(
    product_month: ProductMonth, limits: Limits, ocean: np.ndarray, earlier: np.ndarray
) -> CheckReport:
    """Check a month against its product's limits, its calendar month and published surveys.

    Parameters
    ----------
    product_month
        The month, as read.
    limits
        From the product specification.
    ocean
        Boolean (lat, lon), the record's mask.
    earlier
        float32 (year, lat, lon): the same calendar month in earlier years of the record.
    """
    frame = summarise(product_month, ocean, earlier)
    answers = _validate(frame, limits)
    results = [
        _result(rule, frame, answers[rule.name]) for rule in (*PRESENT_RULES, *_rules(limits))
    ]
    return CheckReport(product_month.month, (*results, _surveyed(frame, answers["surveyed"])))


def _rules(limits: Limits) -> tuple[_Rule, ...]:
    return (
        _Rule("range-low", "minimum", "error", limits.minimum, None, "Values are too low."),
        _Rule("range-high", "maximum", "error", None, limits.maximum, "Values are too high."),
        _Rule(
            *("mean", "mean", "error", limits.mean_minimum, limits.mean_maximum),
            "A regional mean is not that of a flux in mmol m-2 d-1: wrong units or sign?",
        ),
        _Rule(
            *("valid-fraction", "valid_fraction", "error", limits.valid_fraction, 1.0),
            "Too little of the ocean was observed; the rest would be invented.",
        ),
        _Rule(
            *("mask", "land_fraction", "error", 0.0, MAXIMUM_LAND_FRACTION),
            "There are values on land: another mask, or a shifted or flipped map.",
        ),
        _Rule(
            *("units", "amplitude", "error", *AMPLITUDES),
            "The values are larger or smaller than in earlier years by a factor: wrong units?",
        ),
        _Rule(
            *("sign", "pattern", "error", MINIMUM_PATTERN, 1.0),
            "The map is the mirror image of earlier years: wrong sign?",
        ),
        _Rule(
            *("calendar-month", "z_score", "warning", -MAXIMUM_Z_SCORE, MAXIMUM_Z_SCORE),
            "A regional mean is far from the same month of earlier years.",
        ),
        _Rule(
            *("jumpiness", "jumpiness", "warning", 0.0, MAXIMUM_JUMPINESS),
            "Neighbouring cells differ as in noise.",
        ),
    )


@lru_cache(maxsize=8)
def _validation(limits: Limits) -> Any:
    """Return the validation of a summary frame, built once: building it takes longer than using."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations import expectations as expect
    from great_expectations.data_context.types.base import ProgressBarsConfig
    from great_expectations.expectations.metadata_types import FailureSeverity

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    source = context.data_sources.add_pandas("months")
    batch = source.add_dataframe_asset("summary").add_batch_definition_whole_dataframe("month")
    suite = context.suites.add(gx.ExpectationSuite(name="month"))
    for rule in PRESENT_RULES:
        suite.add_expectation(
            expect.ExpectColumnValuesToNotBeNull(column=rule.column, meta={"name": rule.name})
        )
    for rule in _rules(limits):
        suite.add_expectation(
            expect.ExpectColumnValuesToBeBetween(
                column=rule.column,
                min_value=rule.low,
                max_value=rule.high,
                severity=FailureSeverity("critical" if rule.severity == "error" else "warning"),
                meta={"name": rule.name},
            )
        )
    suite.add_expectation(
        expect.ExpectColumnPairValuesAToBeGreaterThanB(
            column_A="inside_survey",
            column_B="not_below",
            or_equal=True,
            ignore_row_if="either_value_is_missing",
            meta={"name": "surveyed"},
        )
    )
    return context.validation_definitions.add(
        gx.ValidationDefinition(name="month", data=batch, suite=suite)
    )


def _validate(frame: "pd.DataFrame", limits: Limits) -> dict[str, bool]:
    """Return whether each named expectation was met."""
    # Inside the surveyed range: the smaller of the two distances is not negative.
    above, below = frame["mean"] - frame["surveyed_low"], frame["surveyed_high"] - frame["mean"]
    inside = above.where(above < below, below)
    frame = frame.assign(inside_survey=inside, not_below=inside.where(inside.isna(), 0.0))
    answer = _validation(limits).run(batch_parameters={"dataframe": frame})
    return {
        result.expectation_config.meta["name"]: bool(result.success) for result in answer.results
    }


def _result(rule: _Rule, frame: "pd.DataFrame", passed: bool) -> CheckResult:
    values = frame[["region", rule.column]].dropna()
    if not passed and (rule.low is not None or rule.high is not None):
        low = -np.inf if rule.low is None else rule.low
        high = np.inf if rule.high is None else rule.high
        values = values[~values[rule.column].between(low, high)]
    found = ", ".join(f"{region} {value:.3g}" for region, value in values.itertuples(index=False))
    return CheckResult(
        name=rule.name,
        kind="statistical",
        severity=rule.severity,
        passed=passed,
        found=found or "nothing to compare with",
        expected=rule.expected if rule.low is not None or rule.high is not None else "a value",
        message="" if passed else rule.message,
    )


def _surveyed(frame: "pd.DataFrame", passed: bool) -> CheckResult:
    shelf = frame[frame["region"] == "ecs-shelf"]
    if shelf.empty:
        found, expected = "the shelf was not observed", ""
    else:
        row = shelf.iloc[0]
        found = f"{row['mean']:.3g} mmol m-2 d-1"
        expected = f"{row['surveyed_low']:.3g} to {row['surveyed_high']:.3g} mmol m-2 d-1"
    message = "The shelf's mean is not what surveys of the season found: wrong units or sign?"
    return CheckResult(
        name="shelf-survey",
        kind="statistical",
        severity="error",
        passed=passed,
        found=found,
        expected=expected,
        message="" if passed else message,
    )
