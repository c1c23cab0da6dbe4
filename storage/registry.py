"""The model registry: every trained model version, and which of them was promoted, when and why."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal

from sqlalchemy import Connection, Engine, Row, insert, select

from storage import tables as t
from storage.database import on_conflict_do_nothing, reading, transaction, without_credentials
from storage.errors import TidenetError
from storage.months import Month
from storage.views import champion as champion_view

DecisionKind = Literal["gate", "first", "by-hand", "rollback", "refused"]
"""How it was decided: by the figures, as the first model of a grid, by a person, by a person who
went back, or by the trial in which the model could not be served."""

Rival = Literal["champion", "climatology", "damped-persistence"]


class UnknownModelError(TidenetError):
    """A model version was asked for that is not registered."""


class DuplicateModelError(TidenetError):
    """A model version's name is taken by other weights."""


@dataclass(frozen=True)
class ModelVersion:
    """A trained model.

    Parameters
    ----------
    version
        Its name, unique.
    method
        ``tidenet``, ``climatology``, ``damped-persistence``, ...
    grid
        Name of the grid that it was trained on.
    weights_url, weights_sha256
        Where its weights lie, and their hexadecimal digest.
    snapshot_id
        Snapshot of the Carbon-ECS repository that it was trained on.
    trained_from, trained_until
        First and last month of the training data.
    seed
        Seed of the training.
    code_version
        Version of this package.
    created_at
        When (aware, UTC).
    validated_from, validated_until
        First and last month of the validation block; None if there was none.
    config, metrics, libraries
        Configuration, validation figures and library versions, as JSON.
    hardware
        What it was trained on.
    note
        Anything a person wrote about it.
    source
        Where it was imported from, by whom and when; empty if it was trained here.
    twin_url, twin_sha256, twin_until
        Its twin: the same network with all else fitted up to this month only, before the
        validation block. It is judged in its place on months that the model has learned from.
        None if it has none.
    placement
        What hardware was asked for, and why it ran where it did; empty if nothing was asked.
    """

    version: str
    method: str
    grid: str
    weights_url: str
    weights_sha256: str
    snapshot_id: str
    trained_from: Month
    trained_until: Month
    seed: int
    code_version: str
    created_at: dt.datetime
    validated_from: Month | None = None
    validated_until: Month | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    libraries: Mapping[str, str] = field(default_factory=dict)
    hardware: str = ""
    note: str = ""
    source: str = ""
    twin_url: str | None = None
    twin_sha256: str | None = None
    twin_until: Month | None = None
    placement: str = ""


@dataclass(frozen=True)
class PromotionFigure:
    """A candidate beside one rival, on init months that neither has learned from.

    Parameters
    ----------
    rival
        What it is compared with.
    lead_months
        1 to 12; 0 for all leads together.
    n_months, first_init_month, last_init_month
        Init months that both forecast.
    rmse, rmse_rival
        Root mean squared errors, mmol m-2 d-1.
    difference
        MSSS against climatology, candidate minus rival.
    low, high
        Its 90 % interval; None where there are too few months.
    passed
        Whether the gate's condition on it is met; None where it has none.
    """

    rival: Rival
    lead_months: int
    n_months: int
    first_init_month: Month
    last_init_month: Month
    rmse: float
    rmse_rival: float
    difference: float
    low: float | None = None
    high: float | None = None
    passed: bool | None = None


@dataclass(frozen=True)
class Promotion:
    """A decision about a candidate: promoted to champion or not.

    Parameters
    ----------
    model_version
        The candidate.
    promoted
        Whether it became the champion.
    reason
        Why, one sentence.
    decided_by
        Who or what decided.
    decided_at
        When (aware, UTC).
    numbers
        The figures that the decision rests on, as JSON.
    previous_champion
        The champion at the time; None if there was none.
    kind
        How it was decided.
    figures
        The candidate beside its rivals.
    """

    model_version: str
    promoted: bool
    reason: str
    decided_by: str
    decided_at: dt.datetime
    numbers: Mapping[str, Any] = field(default_factory=dict)
    previous_champion: str | None = None
    kind: DecisionKind = "gate"
    figures: tuple[PromotionFigure, ...] = ()


def register_model(engine: Engine, model: ModelVersion) -> None:
    """Add a model version; adding the same one again changes nothing.

    Raises
    ------
    DuplicateModelError
        If the version is registered with other weights.
    """
    with transaction(engine) as connection:
        statement = on_conflict_do_nothing(connection, t.ModelVersion)
        connection.execute(statement, [asdict(_with_clean_urls(model))])
        registered = connection.execute(
            select(t.ModelVersion.weights_sha256).where(t.ModelVersion.version == model.version)
        ).scalar_one()
        if registered != model.weights_sha256:
            raise DuplicateModelError(
                f"The model version {model.version} is already registered.",
                found=f"weights {registered}",
                expected=f"weights {model.weights_sha256}",
                remedy="Give the new model another version.",
            )


def record_promotion(engine: Engine, promotion: Promotion) -> None:
    """Add a promotion decision with its figures, in one transaction.

    Raises
    ------
    UnknownModelError
        If the candidate is not registered.
    """
    with transaction(engine) as connection:
        require_model(connection, promotion.model_version)
        columns = asdict(promotion)
        figures = columns.pop("figures")
        done = connection.execute(insert(t.Promotion).values(**columns))
        if figures:
            assert done.inserted_primary_key is not None
            key = done.inserted_primary_key[0]
            connection.execute(
                insert(t.PromotionFigure), [{"promotion_id": key, **row} for row in figures]
            )


def champion(engine: Engine, grid: str, *, as_of: dt.datetime | None = None) -> ModelVersion | None:
    """Return the model that was promoted last on a grid, or None.

    Parameters
    ----------
    engine
        The archive database.
    grid
        Name of the grid.
    as_of
        Decisions after this moment do not count (aware, UTC); None for all.
    """
    if as_of is None:
        query = (
            select(t.ModelVersion)
            .join(champion_view, champion_view.c.model_version == t.ModelVersion.version)
            .where(champion_view.c.grid == grid)
        )
    else:
        query = (
            select(t.ModelVersion)
            .join(t.Promotion, t.Promotion.model_version == t.ModelVersion.version)
            .where(t.ModelVersion.grid == grid, t.Promotion.promoted)
            .where(t.Promotion.decided_at <= as_of)
            .order_by(t.Promotion.id.desc())
            .limit(1)
        )
    with reading(engine) as connection:
        row = connection.execute(query).one_or_none()
    return None if row is None else _model_version(row)


def model(engine: Engine, version: str) -> ModelVersion:
    """Return a registered model.

    Raises
    ------
    UnknownModelError
        If it is not registered; the message lists the newest that are.
    """
    with reading(engine) as connection:
        return _model_version(require_model(connection, version))


def models(engine: Engine, grid: str | None = None) -> tuple[ModelVersion, ...]:
    """Return every registered model (of a grid), oldest first."""
    query = select(t.ModelVersion).order_by(t.ModelVersion.created_at, t.ModelVersion.version)
    if grid is not None:
        query = query.where(t.ModelVersion.grid == grid)
    with reading(engine) as connection:
        return tuple(_model_version(row) for row in connection.execute(query))


def promotions(engine: Engine, grid: str | None = None) -> tuple[Promotion, ...]:
    """Return every promotion decision (on a grid), oldest first, with its figures."""
    names = [field.name for field in fields(Promotion) if field.name != "figures"]
    query = (
        select(t.Promotion.id, *(getattr(t.Promotion, name) for name in names))
        .join(t.ModelVersion, t.ModelVersion.version == t.Promotion.model_version)
        .order_by(t.Promotion.id)
    )
    if grid is not None:
        query = query.where(t.ModelVersion.grid == grid)
    with reading(engine) as connection:
        figures = _figures(connection)
        return tuple(
            Promotion(**{name: row[name] for name in names}, figures=figures.get(row["id"], ()))
            for row in connection.execute(query).mappings()
        )


def earlier_champion(engine: Engine, grid: str) -> ModelVersion | None:
    """Return the model that going back from the present champion leads to; None if there is none.

    Going back undoes the last promotion that stands: going back twice undoes two.
    """
    held: list[str] = []
    for decision in promotions(engine, grid):
        if not decision.promoted:
            continue
        if decision.kind == "rollback" and decision.model_version in held:
            while held[-1] != decision.model_version:
                held.pop()
        elif not held or held[-1] != decision.model_version:
            held.append(decision.model_version)
    return model(engine, held[-2]) if len(held) > 1 else None


def _figures(connection: Connection) -> dict[int, tuple[PromotionFigure, ...]]:
    """Return the figures of every decision by its key, rival by rival, all leads first."""
    names = [field.name for field in fields(PromotionFigure)]
    query = select(
        t.PromotionFigure.promotion_id, *(getattr(t.PromotionFigure, name) for name in names)
    ).order_by(t.PromotionFigure.rival, t.PromotionFigure.lead_months)
    found: dict[int, tuple[PromotionFigure, ...]] = {}
    for row in connection.execute(query).mappings():
        figure = PromotionFigure(**{name: row[name] for name in names})
        found[row["promotion_id"]] = (*found.get(row["promotion_id"], ()), figure)
    return found


def require_model(connection: Connection, version: str) -> Row[Any]:
    """Return the row of a registered model on an open connection; raises as `model`."""
    row = connection.execute(
        select(t.ModelVersion).where(t.ModelVersion.version == version)
    ).one_or_none()
    if row is not None:
        return row
    newest = connection.execute(
        select(t.ModelVersion.version).order_by(t.ModelVersion.created_at.desc()).limit(10)
    ).scalars()
    raise UnknownModelError(
        "No model of this version is registered.",
        found=repr(version),
        expected=", ".join(newest) or "none is registered yet",
        remedy="Choose one of these, or train a model.",
    )


def _with_clean_urls(model: ModelVersion) -> ModelVersion:
    return replace(
        model,
        weights_url=without_credentials(model.weights_url),
        twin_url=None if model.twin_url is None else without_credentials(model.twin_url),
    )


def _model_version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(**row._mapping)
