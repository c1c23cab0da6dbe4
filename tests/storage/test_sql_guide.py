"""The SQL guide and the schema page are what `make docs` makes of the program as it is."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import Engine

from benchmarks.sample_archive import fill_sample
from storage.named_queries import ask, named_queries
from storage.tables import Table
from storage.views import VIEWS

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def maker() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(DOCS / "make_sql.py")))


@pytest.fixture
def sample(archive: Engine) -> Engine:
    fill_sample(archive)
    return archive


def test_the_guide_shows_what_the_questions_answer(sample: Engine, maker: SimpleNamespace) -> None:
    page = maker.sql_page(sample)
    assert page == (DOCS / "sql.md").read_text(encoding="utf-8"), "run `make docs`"


def test_every_named_query_is_in_the_guide_and_answers(
    sample: Engine, maker: SimpleNamespace
) -> None:
    shown = [name for names in maker.SECTIONS.values() for name in names]
    assert sorted(shown) == sorted(named_queries())
    assert len(shown) >= 20
    for name in shown:
        answer = ask(sample, name, maker.EXAMPLES.get(name, {}))
        assert answer.rows, name
        assert len(set(answer.columns)) == len(answer.columns), name


def test_the_schema_page_describes_every_table_and_view(maker: SimpleNamespace) -> None:
    page = maker.schema_page()
    assert page == (DOCS / "schema.md").read_text(encoding="utf-8"), "run `make docs`"
    for name in [*Table.metadata.tables, *VIEWS.tables]:
        assert f"### `{name}`" in page


def test_the_picture_shows_every_table(maker: SimpleNamespace, tmp_path: Path) -> None:
    maker.draw_schema(tmp_path / "schema.svg")
    for picture in (tmp_path / "schema.svg", DOCS / "images" / "schema.svg"):
        drawn = picture.read_text(encoding="utf-8")
        for name in Table.metadata.tables:
            assert f">{name}<" in drawn, (picture, name)


def test_the_archive_page_names_every_view(maker: SimpleNamespace) -> None:
    page = (DOCS / "archive.md").read_text(encoding="utf-8")
    assert not [name for name in VIEWS.tables if f"`{name}`" not in page]
