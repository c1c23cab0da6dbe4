"""Makes ``docs/sql.md``, ``docs/schema.md`` and ``docs/images/schema.svg``: ``make docs``.

What the SQL guide shows as answers is what the made-up archive of `benchmarks.sample_archive`
really answers. Tests make the pages again and compare.
"""

import datetime as dt
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Engine

from benchmarks.sample_archive import fill_sample
from storage.database import connect, migrate
from storage.named_queries import Answer, NamedQuery, ask, named_queries
from storage.tables import Table
from storage.views import VIEWS

DOCS = Path(__file__).parent
MOST_ROWS = 8
"""Rows of an answer that are shown."""

SECTIONS: Mapping[str, tuple[str, ...]] = {
    "What is forecast": (
        "forecast",
        "forecast-for-month",
        "map",
        "cell",
        "sources",
        "degraded",
    ),
    "How much carbon": ("uptake-by-month", "uptake-by-year"),
    "What we said, and when": (
        "forecast-as-of",
        "forecast-as-issued",
        "forecast-history",
    ),
    "How good it is": (
        "skill-by-lead",
        "skill-by-month",
        "skill-in-season",
        "forecast-vs-observed",
        "largest-errors",
        "coverage",
        "reliability",
        "skill-recomputed",
        "cell-series",
    ),
    "What it was made from": (
        "lineage",
        "lineage-files",
        "outdated",
        "decisions",
        "decision-figures",
        "drift",
    ),
    "The record": ("months", "revisions", "inputs", "handovers", "attention"),
}

EXAMPLES: Mapping[str, Mapping[str, str]] = {
    "forecast-for-month": {"valid_month": "2018-07", "region": "changjiang-plume"},
    "forecast-as-of": {"as_of": "2018-04-01", "region": "changjiang-plume"},
    "forecast-as-issued": {"since": "2018-05"},
    "forecast-history": {"init_month": "2017-10"},
    "uptake-by-month": {"since": "2018-03"},
    "uptake-by-year": {"region": "ecs-shelf"},
}
"""Parameters that a question is shown with, where they are not the defaults."""

INTRODUCTION = """\
# The archive in SQL

Whoever has a SQL client needs nothing else: every forecast, what it was made from and how good it
was is in one database, PostgreSQL or a SQLite file. This page answers {n} questions. Each has a
name, so that `tidenet query NAME` answers it too, as a table, CSV or JSON; the SQL below is the
same on both databases, with `:name` for a value of yours.

- A flux is in mmol m-2 d-1, **positive out of the sea**; `uptake_tgc` is in Tg C, positive into it.
- A month is the date of its first day, a time is UTC.
- Rows are only ever added. Views choose what counts now; [archive.md](archive.md) tells how.
- Every table, view and column is described in [schema.md](schema.md), and on PostgreSQL in the
  database itself (`\\d+ forecast_latest`).
- Connect as a member of the role `tidenet_reader`: it can read everything and change nothing.

![Tables of the archive and what refers to what](images/schema.svg)

The answers were given by a small made-up archive: 54 months, two models, six leads.

"""

SCHEMA = """\
# Tables and views of the archive

Made from what the program declares (`make docs`); on PostgreSQL the database says the same
(`\\d+ TABLE`). Fluxes are positive out of the sea, months are the date of their first day, times
are UTC. *K*: part of the key; *→*: refers to.

"""


def sql_page(engine: Engine) -> str:
    """Return the text of ``docs/sql.md``, asked of an archive that holds the sample."""
    queries = named_queries()
    parts = [INTRODUCTION.format(n=len(queries))]
    for section, names in SECTIONS.items():
        parts.append(f"## {section}\n\n")
        parts += [_question(queries[name], _answer(engine, name)) for name in names]
    return "".join(parts).rstrip() + "\n"


def schema_page() -> str:
    """Return the text of ``docs/schema.md``."""
    parts = [SCHEMA, "## Views\n\n"]
    parts += [_described(view) for view in VIEWS.tables.values()]
    parts.append("## Tables\n\n")
    parts += [_described(table) for table in Table.metadata.sorted_tables]
    return "".join(parts).rstrip() + "\n"


def _answer(engine: Engine, name: str) -> Answer:
    return ask(engine, name, EXAMPLES.get(name, {}))


def _question(query: NamedQuery, answer: Answer) -> str:
    given = EXAMPLES.get(query.name, {})
    options = "".join(f" --{k.replace('_', '-')} {v}" for k, v in given.items())
    lines = [
        f"### {query.question}\n",
        f"{query.about}\n",
        f"```sql\n{query.statement}\n```\n",
        f"`tidenet query {query.name}{options}`{_defaults(query, given)}\n",
        _markdown(answer),
    ]
    return "\n".join(lines) + "\n"


def _defaults(query: NamedQuery, given: Mapping[str, str]) -> str:
    """Say what else can be asked."""
    others = [
        f"`--{p.name.replace('_', '-')}` ({p.meaning}"
        + (")" if p.default in (None, "null") else f"; {p.default} if not given)")
        for p in query.parameters
        if p.name not in given
    ]
    return f", with {', '.join(others)}" if others else ""


def _markdown(answer: Answer) -> str:
    lines = [
        "| " + " | ".join(answer.columns) + " |",
        "|" + "---|" * len(answer.columns),
        *("| " + " | ".join(_text(v) for v in row) + " |" for row in answer.rows[:MOST_ROWS]),
    ]
    if len(answer.rows) > MOST_ROWS:
        lines.append(f"\n*{MOST_ROWS} of {len(answer.rows)} rows.*")
    return "\n".join(lines) + "\n"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value + 0.0:.2f}".replace("-0.00", "0.00")
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M}"
    text = str(value)
    return text[:12] + "…" if len(text) == 64 and " " not in text else text


def _described(table: sa.Table) -> str:
    lines = [
        f"### `{table.name}`\n",
        f"{table.comment}.\n",
        "| column | type | meaning |",
        "|---|---|---|",
    ]
    for column in table.columns:
        marks = "*K* " if column.primary_key and table.name not in VIEWS.tables else ""
        refers = "".join(
            f" → `{key.column.table.name}`"
            for key in sorted(column.foreign_keys, key=lambda k: k.column.table.name)
        )
        kind = type(column.type).__name__
        meaning = f"{marks}{column.comment}{refers}"
        lines.append(f"| `{column.name}` | {_TYPES.get(kind, kind.lower())} | {meaning} |")
    return "\n".join(lines) + "\n\n"


_TYPES = {
    "MonthDate": "date",
    "UtcDateTime": "time",
    "REAL": "real",
    "Double": "double",
    "Text": "text",
    "JSON": "JSON",
    "BigInteger": "bigint",
}

# --- the picture ----------------------------------------------------------------------------------

COLUMNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("files", ("product_files", "month_inputs", "checks", "acceptances")),
    ("the record", ("month_revisions", "handovers", "handover_terms")),
    ("observed", ("regional_observations", "cell_observations")),
    ("places", ("regions", "cells")),
    (
        "predicted and scored",
        ("regional_predictions", "yearly_predictions", "cell_predictions", "skill_scores"),
    ),
    ("runs", ("forecast_runs", "forecast_leads", "run_inputs")),
    (
        "models",
        (
            "model_versions",
            "drift_checks",
            "input_drift_checks",
            "promotions",
            "promotion_figures",
        ),
    ),
)
"""Where the picture has each table: columns from left to right, tables from top to bottom."""

COLOURS = ("#e8eef7", "#e3f1ec", "#fdf3dc", "#eeeeee", "#f1e8f5", "#fae6e1", "#e8eef7")
PITCH, WIDTH = 2.8, 2.15


def draw_schema(path: Path) -> None:
    """Draw every table with its key, and an arrow to each that it refers to."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "tidenet", "svg.fonttype": "none", "font.size": 8}):
        figure = Figure(figsize=(16, 7.2))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(-0.8, len(COLUMNS) * PITCH)
        axes.set_ylim(-8.1, 0.6)
        places = _boxes(axes)
        for table in Table.metadata.sorted_tables:
            for other in sorted({key.column.table.name for key in table.foreign_keys}):
                if other != table.name:
                    _arrow(axes, places[table.name], places[other])
        figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")


def _boxes(axes: Any) -> dict[str, tuple[float, float, float, float]]:
    places = {}
    for place, (title, names) in enumerate(COLUMNS):
        left, top = place * PITCH, 0.0
        axes.text(left, 0.25, title, fontsize=11, color="#555555", style="italic")
        for name in names:
            columns = list(Table.metadata.tables[name].columns)
            keys = [c for c in columns if c.primary_key or c.foreign_keys]
            height = 0.42 + 0.2 * (len(keys) + 1)
            places[name] = (left, top - height, WIDTH, height)
            _box(axes, name, keys, len(columns) - len(keys), places[name], COLOURS[place])
            top -= height + 0.45
    return places


def _box(
    axes: Any,
    name: str,
    keys: Iterable[Any],
    further: int,
    place: tuple[float, float, float, float],
    colour: str,
) -> None:
    from matplotlib.patches import FancyBboxPatch

    left, bottom, width, height = place
    axes.add_patch(
        FancyBboxPatch(
            (left, bottom),
            width,
            height,
            "round,pad=0,rounding_size=0.06",
            facecolor=colour,
            edgecolor="#777777",
            zorder=2,  # over the arrows: what passes behind a box hides nothing of it
        )
    )
    axes.text(left + 0.08, bottom + height - 0.24, name, weight="bold", fontsize=9, zorder=3)
    y = bottom + height - 0.46
    for column in keys:
        mark = "K " if column.primary_key else "  "
        axes.text(left + 0.08, y, f"{mark}{column.name}", family="monospace", fontsize=7, zorder=3)
        y -= 0.2
    more = f"and {further} more" if further else ""
    axes.text(left + 0.08, y, more, color="#666666", fontsize=7, zorder=3)


def _arrow(
    axes: Any, source: tuple[float, float, float, float], target: tuple[float, float, float, float]
) -> None:
    """Draw from the side of one box to the side of the other; inside a column past its edge."""
    middle_s, middle_t = source[1] + source[3] / 2, target[1] + target[3] / 2
    if source[0] == target[0]:
        start, end = (source[0], middle_s), (target[0], middle_t)
        bend = -0.35 if middle_s < middle_t else 0.35
    else:
        ahead = source[0] < target[0]
        start = (source[0] + source[2] * ahead, middle_s)
        end = (target[0] + target[2] * (not ahead), middle_t)
        bend = 0.05
    axes.annotate(
        "",
        xy=end,
        xytext=start,
        zorder=1,
        arrowprops={
            "arrowstyle": "-|>",
            "color": "#33669a",
            "linewidth": 1.0,
            "shrinkA": 0,
            "shrinkB": 0,
            "connectionstyle": f"arc3,rad={bend}",
        },
    )


def main() -> None:
    """Make the pages and the picture."""
    with tempfile.TemporaryDirectory() as folder:
        engine = connect(f"sqlite:///{folder}/archive.db")
        migrate(engine)
        fill_sample(engine)
        (DOCS / "sql.md").write_text(sql_page(engine), encoding="utf-8")
        engine.dispose()
    (DOCS / "schema.md").write_text(schema_page(), encoding="utf-8")
    draw_schema(DOCS / "images" / "schema.svg")


if __name__ == "__main__":
    main()
