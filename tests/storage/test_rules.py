"""What the database itself refuses, whoever writes to it."""

from collections.abc import Iterator

import pytest
from services.archive_samples import fill, score_row
from services.postgres import Archives
from services.tampering import allow_changes
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from storage.archive import unscored, write_scores
from storage.months import month
from storage.tables import Table


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, archives: Archives
) -> Iterator[Engine]:
    """One archive for all tests: whatever they try is refused."""
    with archives.new(request.param, tmp_path_factory.mktemp("rules")) as engine:
        run_id, _ = fill(engine)
        [item] = unscored(engine, month("2018-12"))
        write_scores(engine, [score_row(run_id, item.month_revision_id)])
        yield engine


@pytest.mark.parametrize(
    ("table", "change", "rule"),
    [
        ("product_files", "status = 'lost'", "status_is_known"),
        ("product_files", "sha256 = 'abc'", "sha256_has_64_digits"),
        ("product_files", "look = 0", "look_starts_at_1"),
        ("product_files", "size_bytes = -1", "size_is_not_negative"),
        ("product_files", "month = '2018-01-15'", "month_is_a_first_day"),
        ("product_files", "month = NULL", "accepted_has_a_month"),
        ("product_files", "stage = 'draft'", "stage_is_known"),
        ("month_inputs", "sha256 = 'abc'", "sha256_has_64_digits"),
        ("month_inputs", "quantity = '' WHERE quantity = 'wind'", "quantity_is_named"),
        ("month_inputs", "size_bytes = -1", "size_is_not_negative"),
        ("checks", "kind = 'magical'", "kind_is_known"),
        ("checks", "severity = 'mild'", "severity_is_known"),
        ("month_revisions", "revision = 0", "revision_starts_at_1"),
        ("month_revisions", "n_completed = 1000", "cells_add_up"),
        ("month_revisions", "n_spikes = -1", "n_spikes_is_not_negative"),
        ("handovers", "fit = 0", "fit_starts_at_1"),
        ("handovers", "new_product = old_product", "products_differ"),
        ("handovers", "overlap_first = '2019-01-01'", "overlap_runs_forward"),
        ("handovers", "overlap_last = '2019-01-15'", "overlap_last_is_a_first_day"),
        ("handovers", "overlap_first = '2014-01-15'", "overlap_first_is_a_first_day"),
        ("handovers", "n_months = 0", "has_months"),
        ("handovers", "rmse_after = -1", "errors_are_possible"),
        ("handovers", "sha256 = 'abc'", "sha256_has_64_digits"),
        ("handover_terms", "calendar_month = calendar_month + 12", "calendar_month_is_1_to_12"),
        ("handover_terms", "scale = 0", "scale_is_possible"),
        ("handover_terms", "shift = 1e20", "shift_is_possible"),
        ("handover_terms", "residual = -1", "residual_is_possible"),
        ("handover_terms", "n_cells = -1", "counts_are_not_negative"),
        ("model_versions", "trained_from = '2019-01-01'", "training_runs_forward"),
        ("model_versions", "validated_from = '2019-01-01'", "validation_runs_forward"),
        ("promotions", "reason = ''", "reason_is_given"),
        ("forecast_runs", "first_month = '2017-12-15'", "first_month_is_a_first_day"),
        ("forecast_runs", "n_leads = 13", "n_leads_is_1_to_12"),
        ("forecast_runs", "issued_kind = 'guess'", "issued_kind_is_known"),
        ("forecast_runs", "degraded = TRUE", "degraded_says_why"),
        (
            "forecast_leads",
            "lead_months = 13, valid_month = '2019-02-01' WHERE lead_months = 1",
            "lead_is_1_to_12",
        ),
        (
            "forecast_leads",
            "lead_months = 0, valid_month = '2018-01-01' WHERE lead_months = 1",
            "lead_is_1_to_12",
        ),
        ("forecast_leads", "valid_month = '2018-08-01'", "valid_is_init_plus_lead"),
        ("regional_predictions", "q05 = 100", "quantiles_are_ordered"),
        ("regional_predictions", "q95 = -100", "quantiles_are_ordered"),
        ("regional_predictions", "flux_tgc_q05 = 100", "integrals_are_ordered"),
        ("regional_predictions", "p_source = 1.5", "p_source_is_a_probability"),
        ("regional_predictions", "spread = -1", "spread_is_possible"),
        ("regional_predictions", "mean = 1e20", "mean_is_possible"),
        ("regional_predictions", "area_m2 = 0", "area_is_positive"),
        ("cell_predictions", "q50 = 100", "quantiles_are_ordered"),
        ("cell_predictions", "p_source = -0.5", "p_source_is_a_probability"),
        ("cells", "lat = 95", "lat_is_possible"),
        ("skill_scores", "inside_50 = inside_90 + 1", "intervals_are_nested"),
        ("skill_scores", "inside_90 = weight_sum * 2", "intervals_are_nested"),
        ("skill_scores", "se_model = -1", "squares_are_not_negative"),
        ("skill_scores", "n_cells = -1", "counts_are_not_negative"),
    ],
)
def test_an_impossible_value_is_refused(filled: Engine, table: str, change: str, rule: str) -> None:
    allow_changes(filled, table)
    with (
        pytest.raises(IntegrityError, match=f"ck_{table}_{rule}"),
        filled.begin() as connection,
    ):
        connection.execute(text(f"UPDATE {table} SET {change}"))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("regional_predictions", "mean"),
        ("cell_predictions", "spread"),
        ("cell_predictions", "climatology"),
        ("handovers", "rmse_before"),
        ("handover_terms", "scale"),
        ("handover_terms", "shift"),
        ("handover_terms", "residual"),
    ],
)
def test_not_a_number_is_refused(filled: Engine, table: str, column: str) -> None:
    allow_changes(filled, table)
    with pytest.raises(IntegrityError), filled.begin() as connection:
        connection.execute(text(f"UPDATE {table} SET {column} = :nan"), {"nan": float("nan")})


@pytest.mark.parametrize(
    "change",
    [
        "checks SET product_file_id = 99 WHERE id = 1",
        "month_revisions SET product_file_id = 99 WHERE id = 1",
        "month_revisions SET month = '2019-01-01' WHERE id = 1",
        "month_revisions SET handover_id = 99 WHERE id = 1",
        "month_inputs SET product_file_id = 99",
        "handover_terms SET handover_id = 99",
        "promotions SET model_version = 'nobody'",
        "promotions SET previous_champion = 'nobody'",
        "forecast_runs SET model_version = 'nobody'",
        "forecast_runs SET month_revision_id = 2",
        "forecast_leads SET run_id = 'nowhere'",
        "regional_predictions SET region = 'atlantis' WHERE region = 'all'",
        "regional_predictions SET valid_month = '2018-08-01'",
        "regional_predictions SET lead_months = 7 WHERE lead_months = 2",
        "cell_predictions SET cell_id = 9999 WHERE cell_id = 1",
        "cell_predictions SET lead_id = 9999 WHERE lead_id = 1",
        "skill_scores SET month_revision_id = 1",
        "skill_scores SET valid_month = '2018-03-01'",
        "skill_scores SET region = 'ecs-shelf'",
    ],
)
def test_a_row_that_refers_to_nothing_is_refused(filled: Engine, change: str) -> None:
    allow_changes(filled, change.split()[0])
    with (
        pytest.raises(IntegrityError, match=r"(?i)foreign key"),
        filled.begin() as connection,
    ):
        connection.execute(text(f"UPDATE {change}"))


@pytest.mark.parametrize(
    ("table", "own_key"),
    [
        ("product_files", "id"),
        ("checks", "id"),
        ("month_inputs", ""),
        ("month_revisions", "id"),
        ("handovers", "id"),
        ("handover_terms", ""),
        ("model_versions", ""),
        ("forecast_runs", "id"),
        ("forecast_leads", "id"),
        ("regional_predictions", ""),
        ("cells", "id"),
        ("cell_predictions", ""),
        ("skill_scores", ""),
    ],
)
def test_a_second_row_of_the_same_thing_is_refused(
    filled: Engine, table: str, own_key: str
) -> None:
    names = ", ".join(c.name for c in Table.metadata.tables[table].columns if c.name != own_key)
    new_key = {"": "", "id": "'another', " if table == "forecast_runs" else "id + 1000, "}[own_key]
    columns = f"{own_key}, {names}" if own_key else names
    with (
        pytest.raises(IntegrityError, match=r"(?i)unique"),
        filled.begin() as connection,
    ):
        connection.execute(
            text(f"INSERT INTO {table} ({columns}) SELECT {new_key}{names} FROM {table}")
        )
