"""What the database itself can tell of rows that are missing or do not belong together.

Foreign keys and checks hold for every row that is there. These questions look for rows that are
not, and for what keys cannot say.
"""

from dataclasses import dataclass

from sqlalchemy import Engine, text

from storage.database import reading


@dataclass(frozen=True)
class RowFault:
    """Rows that are not as they should be.

    Parameters
    ----------
    subject
        The run, month or model that they belong to.
    found, expected
        What there is, and what there should be.
    """

    subject: str
    found: str
    expected: str


_FAULTS = {
    "leads": """
SELECT 'run ' || r.id, count(l.id) || ' leads', r.n_leads || ' leads'
FROM forecast_runs AS r
LEFT JOIN forecast_leads AS l ON l.run_id = r.id
GROUP BY r.id, r.n_leads HAVING count(l.id) <> r.n_leads
""",
    "regional rows": """
SELECT 'run ' || r.id, count(p.region) || ' regional rows',
    r.n_leads || ' for each of ' || count(DISTINCT p.region) || ' regions'
FROM forecast_runs AS r
LEFT JOIN regional_predictions AS p ON p.run_id = r.id
GROUP BY r.id, r.n_leads
HAVING count(p.region) <> r.n_leads * count(DISTINCT p.region) OR count(p.region) = 0
""",
    "yearly rows": """
SELECT 'run ' || p.run_id || ', ' || p.region,
    coalesce(sum(y.n_months), 0) || ' months in its years', r.n_leads || ' months'
FROM regional_predictions AS p
JOIN forecast_runs AS r ON r.id = p.run_id
LEFT JOIN yearly_predictions AS y ON y.run_id = p.run_id AND y.region = p.region
WHERE p.lead_months = 1 AND EXISTS (
    SELECT 1 FROM yearly_predictions AS k WHERE k.run_id = p.run_id
)
GROUP BY p.run_id, p.region, r.n_leads HAVING coalesce(sum(y.n_months), 0) <> r.n_leads
""",
    "cell rows": """
SELECT 'run ' || run_id, 'between ' || min(n) || ' and ' || max(n) || ' cells a lead',
    'as many at each of ' || n_leads || ' leads'
FROM (
    SELECT l.run_id, r.n_leads, l.lead_months, (
        SELECT count(*) FROM cell_predictions AS p
        WHERE p.lead_id = l.id AND p.init_month = l.init_month
    ) AS n
    FROM forecast_leads AS l
    JOIN forecast_runs AS r ON r.id = l.run_id
) AS leads
GROUP BY run_id, n_leads HAVING min(n) <> max(n)
""",
    "inputs": """
SELECT 'run ' || r.id, count(i.month) || ' months, the last ' || max(i.month),
    'months without a gap up to ' || r.init_month
FROM forecast_runs AS r
JOIN run_inputs AS i ON i.run_id = r.id
GROUP BY r.id, r.init_month
HAVING max(i.month) <> r.init_month OR {months_between} + 1 <> count(i.month)
""",
    "scores": """
SELECT 'run ' || s.run_id || ', lead ' || s.lead_months,
    count(DISTINCT s.region) || ' regions scored',
    (SELECT count(*) FROM regional_predictions AS p
     WHERE p.run_id = s.run_id AND p.lead_months = s.lead_months) || ' regions'
FROM skill_scores AS s
GROUP BY s.run_id, s.lead_months, s.month_revision_id, s.scoring
HAVING count(DISTINCT s.region) <> (SELECT count(*) FROM regional_predictions AS p
     WHERE p.run_id = s.run_id AND p.lead_months = s.lead_months)
""",
    "revisions": """
SELECT 'month ' || month, 'revisions up to ' || max(revision) || ', ' || count(*) || ' rows',
    'one row for each revision'
FROM month_revisions GROUP BY month HAVING max(revision) <> count(*) OR min(revision) <> 1
""",
    "clock": """
SELECT 'run ' || n.run_id, 'created ' || n.created_at || ', written after run ' || e.run_id,
    'created after ' || e.created_at
FROM runs AS n
JOIN runs AS e ON e.entry = (SELECT max(b.entry) FROM runs AS b WHERE b.entry < n.entry)
WHERE n.created_at < e.created_at AND n.issued_kind = 'live' AND e.issued_kind = 'live'
""",
}

_MONTHS_BETWEEN = {
    "sqlite": "(CAST(strftime('%Y', max(i.month)) AS integer) * 12"
    " + CAST(strftime('%m', max(i.month)) AS integer)"
    " - CAST(strftime('%Y', min(i.month)) AS integer) * 12"
    " - CAST(strftime('%m', min(i.month)) AS integer))",
    "postgresql": "(extract(year FROM age(max(i.month), min(i.month))) * 12"
    " + extract(month FROM age(max(i.month), min(i.month))))",
}


def row_faults(engine: Engine) -> dict[str, tuple[RowFault, ...]]:
    """Return what is wrong with the archive's rows, by what was looked at; all of it is listed."""
    months_between = _MONTHS_BETWEEN[engine.dialect.name]
    found = {}
    with reading(engine) as connection:
        for name, question in _FAULTS.items():
            statement = question.replace("{months_between}", months_between)
            rows = connection.execute(text(statement))
            found[name] = tuple(RowFault(*(str(value) for value in row)) for row in rows)
        if engine.dialect.name == "sqlite":
            broken = connection.execute(text("PRAGMA foreign_key_check"))
            found["foreign keys"] = tuple(
                RowFault(f"table {row[0]}", f"row {row[1]} refers to nothing", f"a row of {row[2]}")
                for row in broken
            )
    return found
