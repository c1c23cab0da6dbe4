import re
from pathlib import Path

import pytest
from services.archive_samples import accept, file_seen, fill, score_row
from sqlalchemy import Engine

from storage.archive import unscored, write_scores
from storage.database import read_only_query
from storage.ledger import record_refused
from storage.months import month
from storage.tables import Table
from storage.views import VIEWS

PAGE = (Path(__file__).parents[2] / "docs" / "archive.md").read_text()
QUERIES = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def filled(archive: Engine) -> Engine:
    """An archive in which every query of the page finds something."""
    run_id, _ = fill(archive)
    [item] = unscored(archive, month("2018-12"))
    write_scores(archive, [score_row(run_id, item.month_revision_id)])
    accept(archive, "2018-01", revision=2)
    record_refused(
        archive, file_seen("2018-04"), "quarantined", [], message="HTML.", remedy="Fetch it again."
    )
    return archive


def test_every_query_of_the_page_finds_something(filled: Engine) -> None:
    assert len(QUERIES) >= 15
    for query in QUERIES:
        columns, rows = read_only_query(filled, query)
        assert rows, query
        assert len(set(columns)) == len(columns), query


def test_the_page_names_every_table_and_view() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE))
    assert set(Table.metadata.tables) | set(VIEWS.tables) <= named
