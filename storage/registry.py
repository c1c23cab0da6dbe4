"""The model registry: every trained model version, and which of them was promoted, when and why."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from sqlalchemy import Connection, Engine, Row, insert, select

from storage import tables as t
from storage.database import on_conflict_do_nothing, reading, transaction, without_credentials
from storage.errors import TidenetError
from storage.months import Month
from storage.views import champion as champion_view


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
    """

    model_version: str
    promoted: bool
    reason: str
    decided_by: str
    decided_at: dt.datetime
    numbers: Mapping[str, Any] = field(default_factory=dict)
    previous_champion: str | None = None


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
    """Add a promotion decision.

    Raises
    ------
    UnknownModelError
        If the candidate is not registered.
    """
    with transaction(engine) as connection:
        require_model(connection, promotion.model_version)
        connection.execute(insert(t.Promotion).values(**asdict(promotion)))


def champion(engine: Engine, grid: str) -> ModelVersion | None:
    """Return the model that was promoted last on a grid, or None."""
    query = (
        select(t.ModelVersion)
        .join(champion_view, champion_view.c.model_version == t.ModelVersion.version)
        .where(champion_view.c.grid == grid)
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
    """Return every promotion decision (on a grid), oldest first."""
    names = [field.name for field in fields(Promotion)]
    query = (
        select(*(getattr(t.Promotion, name) for name in names))
        .join(t.ModelVersion, t.ModelVersion.version == t.Promotion.model_version)
        .order_by(t.Promotion.id)
    )
    if grid is not None:
        query = query.where(t.ModelVersion.grid == grid)
    with reading(engine) as connection:
        return tuple(Promotion(**row) for row in connection.execute(query).mappings())


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
    return replace(model, weights_url=without_credentials(model.weights_url))


def _model_version(row: Row[Any]) -> ModelVersion:
    return ModelVersion(**row._mapping)
