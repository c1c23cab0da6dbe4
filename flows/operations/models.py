"""Models in the registry: loading, listing, promoting by hand and going back."""

import getpass
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from flows.operations.drivers import needed_drivers
from flows.operations.workspace import Workspace, best_device, flux_record
from storage.drift_checks import DriftCheck, last_drift_check
from storage.errors import TidenetError
from storage.registry import (
    DecisionKind,
    ModelVersion,
    Promotion,
    champion,
    earlier_champion,
    model,
    models,
    promotions,
    record_promotion,
)

if TYPE_CHECKING:
    from storage.carbon_ecs import CarbonEcs
    from storage.grid import Grid
    from tidenet.forecasting import TideNetForecaster
    from tidenet.record import FluxRecord

TRIAL_MONTHS = 48
"""Months that a trial forecast is given: more than any model's window, less than a whole record."""


class UnservableModelError(TidenetError):
    """A model that was to become champion cannot be loaded, or cannot forecast."""


class AlreadyChampionError(TidenetError):
    """A model that was to become champion is it already."""


class NoEarlierChampionError(TidenetError):
    """There is no earlier champion to go back to."""


class ReasonMissingError(TidenetError):
    """A person's decision came without its reason."""


@dataclass(frozen=True)
class ListedModel:
    """A version with where it stands.

    Parameters
    ----------
    version
        The version.
    is_champion
        Whether it forecasts now.
    decisions
        Every decision about it, oldest first.
    drift
        The newest look at its drift; None if nobody has looked.
    """

    version: ModelVersion
    is_champion: bool
    decisions: tuple[Promotion, ...]
    drift: DriftCheck | None = None


# --- loading --------------------------------------------------------------------------------------


def load_model(
    workspace: Workspace,
    version: ModelVersion,
    grid: "Grid",
    ocean: np.ndarray,
    *,
    device: str = "",
) -> "TideNetForecaster":
    """Load a registered TIDE-Net for a grid and its ocean mask.

    Parameters
    ----------
    workspace
        Settings.
    version
        The model.
    grid, ocean
        Of the record (lat, lon).
    device
        Where its networks compute, as torch names it; empty for the GPU if there is one.

    Raises
    ------
    MissingWeightsError, CorruptWeightsError
        If its files are gone or are not what was registered.
    IncompatibleModelError
        If it belongs to another grid or mask, or its normalisation to other weights.
    """
    from torch import device as torch_device

    found = _load(workspace, version.weights_url, version.weights_sha256, grid, ocean)
    return found.to(torch_device(device or best_device()))


def load_twin(
    workspace: Workspace, version: ModelVersion, grid: "Grid", ocean: np.ndarray
) -> "TideNetForecaster":
    """Load a version's twin, which was fitted before the validation block. Raises as `load_model`.

    The version must have one (``twin_url``).
    """
    assert version.twin_url is not None
    assert version.twin_sha256 is not None
    return _load(workspace, version.twin_url, version.twin_sha256, grid, ocean)


def _load(
    workspace: Workspace, url: str, sha256: str, grid: "Grid", ocean: np.ndarray
) -> "TideNetForecaster":
    from storage.weights import load_model as load_weights
    from tidenet.errors import IncompatibleModelError
    from tidenet.forecasting import TideNetForecaster
    from tidenet.loading import load_forecaster

    tensors, metadata = load_weights(url, sha256, workspace.patience)
    forecaster = load_forecaster(tensors, metadata, grid, ocean)
    if not isinstance(forecaster, TideNetForecaster):
        raise IncompatibleModelError(
            f"{url} is no TIDE-Net.",
            found=f"method {metadata.get('method')!r}",
            expected="method 'tidenet'",
            remedy="Choose another version: tidenet models list.",
        )
    return forecaster


# --- looking --------------------------------------------------------------------------------------


def list_models(workspace: Workspace) -> tuple[ListedModel, ...]:
    """Return every registered model with where it stands, oldest first."""
    engine = workspace.engine
    decisions = promotions(engine)
    versions = models(engine)
    serving = {grid: champion(engine, grid) for grid in {one.grid for one in versions}}
    return tuple(
        ListedModel(
            one,
            is_champion=one == serving[one.grid],
            decisions=tuple(d for d in decisions if d.model_version == one.version),
        )
        for one in versions
    )


def show_model(workspace: Workspace, version: str) -> ListedModel:
    """Return one model with every decision about it and the newest look at its drift.

    Raises
    ------
    UnknownModelError
        If it is not registered.
    """
    engine = workspace.engine
    found = model(engine, version)
    decisions = promotions(engine, found.grid)
    return ListedModel(
        found,
        is_champion=found == champion(engine, found.grid),
        decisions=tuple(d for d in decisions if d.model_version == version),
        drift=last_drift_check(engine, version),
    )


# --- a person's decisions -------------------------------------------------------------------------


def promote(workspace: Workspace, version: str, reason: str) -> Promotion:
    """Make a registered model the champion by hand, if it can be served.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    version
        The model.
    reason
        Why; recorded with who and when.

    Raises
    ------
    UnknownModelError
        If it is not registered.
    ReasonMissingError
        If no reason is given.
    AlreadyChampionError
        If it is the champion.
    UnservableModelError
        If it cannot be loaded or cannot forecast. That is recorded; the champion stays.
    """
    chosen = model(workspace.engine, version)
    store = workspace.record()
    current = champion(workspace.engine, chosen.grid)
    if current is not None and current.version == version:
        raise AlreadyChampionError(f"{version} is the champion already.", remedy="Nothing to do.")
    return _by_hand(workspace, store, chosen, current, "by-hand", reason)


def roll_back(workspace: Workspace, reason: str) -> Promotion:
    """Make the champion before the present one the champion again.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    reason
        Why; recorded with who and when.

    Raises
    ------
    NoEarlierChampionError
        If there was none.
    ReasonMissingError, UnservableModelError
        As for `promote`.
    """
    store = workspace.record()
    current = champion(workspace.engine, store.grid.name)
    earlier = earlier_champion(workspace.engine, store.grid.name)
    if earlier is None:
        raise NoEarlierChampionError(
            "There is no earlier champion to go back to.",
            found="no champion" if current is None else f"{current.version}, the first one",
            remedy="Promote another version by hand: tidenet models promote.",
        )
    return _by_hand(workspace, store, earlier, current, "rollback", reason)


def _by_hand(
    workspace: Workspace,
    store: "CarbonEcs",
    chosen: ModelVersion,
    current: ModelVersion | None,
    kind: DecisionKind,
    reason: str,
) -> Promotion:
    """Try a model, and record that it was promoted or why it was refused."""
    from flows.operations.service_trial import try_to_serve

    if not reason.strip():
        raise ReasonMissingError(
            "Why a model is promoted is recorded with it.",
            found="no reason",
            remedy="Say why: --reason TEXT.",
        )
    trial = try_to_serve(workspace, chosen, recent_record(store, needed_drivers(chosen.config)))
    verb = "Back to it" if kind == "rollback" else "Promoted by hand"
    decision = Promotion(
        model_version=chosen.version,
        promoted=trial.served,
        reason=f"{verb}: {reason.strip()}"
        if trial.served
        else f"Refused: it cannot be served: {trial.problem}",
        decided_by=getpass.getuser(),
        decided_at=workspace.now(),
        numbers={"served": trial.served, "trial_seconds": round(trial.seconds, 2)},
        previous_champion=None if current is None else current.version,
        kind=kind if trial.served else "refused",
    )
    record_promotion(workspace.engine, decision)
    if not trial.served:
        raise UnservableModelError(
            f"{chosen.version} cannot be served.",
            found=trial.problem,
            expected="a forecast from the last month of the record",
            remedy="The champion stays as it is. Restore its files, or choose another version: "
            "tidenet models list.",
        )
    return decision


def recent_record(store: "CarbonEcs", drivers: Sequence[str] = ()) -> "FluxRecord":
    """Return the last months of the record with some drivers, as many as any model reads.

    Raises
    ------
    NotEnoughMonthsError
        If it is empty.
    MissingDriverError
        If it does not hold a driver in all of them.
    """
    from tidenet.errors import NotEnoughMonthsError

    first, last = store.first_month, store.last_month
    if first is None or last is None:
        raise NotEnoughMonthsError(
            "The record is empty.",
            expected="months of sea-air CO2 flux to forecast from",
            remedy="Ingest product files first: tidenet ingest.",
        )
    return flux_record(store, max(first, last - TRIAL_MONTHS + 1), last, drivers)
