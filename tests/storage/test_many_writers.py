"""A thousand hindcasts, each tried by two of four processes at once."""

import pytest
from sqlalchemy import text

from benchmarks.archive_speed import thousand
from storage.audit_queries import row_faults
from storage.database import connect, reading

N_RUNS = 1000
LEADS, CELLS, REGIONS = 6, 100, 8


@pytest.mark.xdist_group("many-writers")
def test_no_run_is_lost_doubled_or_torn(database_url: str) -> None:
    _, made = thousand(database_url, N_RUNS)
    assert made == N_RUNS
    engine = connect(database_url)
    # One run was there before.
    n = N_RUNS + 1
    expected = {
        "forecast_runs": n,
        "forecast_leads": n * LEADS,
        "cell_predictions": n * LEADS * CELLS,
        "regional_predictions": n * LEADS * REGIONS,
    }
    with reading(engine) as connection:
        found = {
            name: connection.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()
            for name in expected
        }
        keys = connection.execute(
            text("SELECT count(DISTINCT idempotency_key) FROM forecast_runs")
        ).scalar_one()
    assert found == expected
    assert keys == n
    assert not any(row_faults(engine).values())
    engine.dispose()
