"""Forecasting with a trained TIDE-Net."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.months import Month, calendar_months
from tidenet.climatology import MonthlyClimatology
from tidenet.configuration import TideNetConfig
from tidenet.dressing import Dressing, dress, white_noise
from tidenet.forecaster import Forecast
from tidenet.identity import Domain, input_window
from tidenet.record import FluxRecord
from tidenet.references import Reference, rebuild
from tidenet.working_grid import WorkingGrid

if TYPE_CHECKING:
    from tidenet.model.network import NetworkInput, TideNet

REFINER_BATCH = 8
"""Members whose detail is refined at once; more only cost memory."""


@dataclass(frozen=True)
class LinearPart:
    """The linear forecast of the training period, on the record's own grid.

    Parameters
    ----------
    climatology
        Monthly means and standard deviations.
    damping
        Part of a standardised anomaly that is left at each lead (lead, lat, lon).
    slow
        Weight of the last year's mean anomaly at each lead (lead,); None for damped persistence
        alone.
    """

    climatology: MonthlyClimatology
    damping: np.ndarray
    slow: np.ndarray | None

    def anomaly(self, history: np.ndarray) -> np.ndarray:
        """Return the forecast anomaly (lead, lat, lon), standard deviations.

        Parameters
        ----------
        history
            Standardised anomalies up to the init month (month, lat, lon); all of them make up the
            mean of the last year.
        """
        damped: np.ndarray = self.damping * history[-1]
        if self.slow is None:
            return damped
        return damped + self.slow[:, None, None] * history.mean(axis=0)


@dataclass(frozen=True)
class TideNetForecaster:
    """A trained TIDE-Net with all that it needs to forecast.

    The best estimate is damped persistence of the standardised anomaly on the record's own grid,
    plus what the memory of the last year adds to it, plus the network's departure from both, made
    on the working grid, interpolated, and followed as far as the validation block has shown it to
    help.
    Members add errors like those seen before (`tidenet.dressing`); of their local part, the share
    ``config.detail_share`` is detail from the diffusion refiner.

    Parameters
    ----------
    config
        Shape of the network and recipe that it was trained with.
    domain
        Grid and ocean mask.
    linear
        Damped persistence and slow memory of the whole training period.
    network
        The trained network.
    follow
        How far to follow the network's departure, 0 to 1, float32 (lead,).
    dressing
        Errors of the forecasts.
    detail_std
        Standard deviation of the refiner's details around the best one, float32
        (lead, height, width) on the working grid; above zero.
    references
        Reference forecasters of the same training period, by name.
    """

    config: TideNetConfig
    domain: Domain
    linear: LinearPart
    network: "TideNet"
    follow: np.ndarray
    dressing: Dressing
    detail_std: np.ndarray
    references: dict[str, Reference]

    name = "tidenet"

    @property
    def n_history(self) -> int:
        """Months of history that it needs, the init month included."""
        return self.config.reach

    @property
    def n_leads(self) -> int:
        """Lead months that it gives."""
        return self.config.n_leads

    @property
    def climatology(self) -> MonthlyClimatology:
        """Climatology of the training period."""
        return self.linear.climatology

    @property
    def working_grid(self) -> WorkingGrid:
        """The network's grid."""
        return WorkingGrid.fitting(self.domain.weight, self.config.working_cells)

    def forecast(
        self, record: FluxRecord, init_month: Month, *, n_members: int, rng: np.random.Generator
    ) -> Forecast:
        """Forecast from what the record holds up to the init month; later months are not read.

        Raises
        ------
        NotEnoughMonthsError
            If the record does not cover the input window.
        IncompatibleModelError
            If the record's grid or mask is not the one that it was trained on.
        IncompleteFieldError
            If an ocean cell of the input window has no value.
        """
        self.domain.require_record(record)
        fields = input_window(record, init_month, self.n_history)
        climatology, grid = self.climatology, self.working_grid
        months = init_month - np.arange(self.n_history)[::-1]
        history = np.stack(
            [climatology.standardise(f, m) for f, m in zip(fields, months, strict=True)]
        )
        anomaly = self.linear.anomaly(history[-max(self.config.slow_months, 1) :])
        x = network_input(grid, history[-self.config.n_history :], anomaly, init_month)
        departure, noise = self._run_network(x, grid, n_members, rng)
        if self.follow.any():
            anomaly = anomaly + self.follow[:, None, None] * grid.refine(departure)
        valid = [init_month + k for k in range(1, self.n_leads + 1)]
        best = np.stack([climatology.restore(a, m) for a, m in zip(anomaly, valid, strict=True)])
        best = np.where(self.domain.ocean, best, np.nan).astype(np.float32)
        spread = [climatology.std_of(m) for m in valid]
        members = dress(best, spread, self.dressing, grid, noise, rng)
        return Forecast(self.domain.grid, init_month, members, best)

    def _run_network(
        self,
        x: "NetworkInput",
        grid: WorkingGrid,
        n_members: int,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the departure (lead, height, width) and each member's local noise."""
        import torch

        noise = white_noise(rng, grid, n_members, self.n_leads)
        share = np.float32(self.config.detail_share)
        self.network.eval()
        with torch.inference_mode():
            output = self.network(x, torch.zeros_like(x.linear))
            if share > 0:
                start = torch.from_numpy(white_noise(rng, grid, n_members, self.n_leads))
                details = refined_details(self.network, output.conditions, start, x.mask)
                around = details.numpy() - output.detail.numpy()
                refined = unit_details(around, self.detail_std, grid)
                noise = np.sqrt(1 - share) * noise + np.sqrt(share) * refined
        return output.departure[0].numpy(), noise

    def tensors(self) -> dict[str, np.ndarray]:
        """Return every array that is needed to rebuild this forecaster."""
        saved = {
            "climatology_mean": self.climatology.mean,
            "climatology_std": self.climatology.std,
            "damping": self.linear.damping,
            "follow": self.follow,
            "detail_std": self.detail_std,
        }
        if self.linear.slow is not None:
            saved["slow"] = self.linear.slow
        saved |= {f"dressing_{name}": a for name, a in self.dressing.tensors().items()}
        for key, value in self.network.state_dict().items():
            saved[f"network.{key}"] = value.detach().cpu().numpy()
        for name, reference in self.references.items():
            # Climatology and damping are the same arrays for all: they are saved once.
            for key, array in reference.own_tensors().items():
                if key != "damping":
                    saved[f"{name}.{key}"] = array
        return {key: np.ascontiguousarray(array) for key, array in saved.items()}

    def metadata(self) -> dict[str, Any]:
        """Return everything else, JSON-able; ``metadata["method"]`` is ``"tidenet"``."""
        return {
            "method": self.name,
            "n_history": self.n_history,
            "n_leads": self.n_leads,
            "config": self.config.model_dump(mode="json"),
            "references": list(self.references),
        } | self.domain.describe()


def network_input(
    grid: WorkingGrid, history: np.ndarray, linear: np.ndarray, init_month: Month
) -> "NetworkInput":
    """Return the network's input for one init month.

    Parameters
    ----------
    grid
        The working grid.
    history
        Standardised anomalies (month, lat, lon), oldest first.
    linear
        Linear forecast (lead, lat, lon), standard deviations.
    init_month
        Last month of the history.
    """
    import torch

    from tidenet.model.network import NetworkInput

    return NetworkInput(
        torch.from_numpy(grid.coarsen(history))[None, :, None],
        torch.from_numpy(grid.coarsen(linear))[None],
        torch.from_numpy(season(init_month, len(linear)))[None],
        torch.from_numpy(grid.mask)[None, None],
    )


def season(init_month: Month, n_leads: int) -> np.ndarray:
    """Return sine and cosine of the calendar month of the init and each valid month (1 + lead, 2).

    The year's circle: December and January are neighbours.
    """
    angle = 2 * np.pi * calendar_months(init_month + np.arange(n_leads + 1)) / 12
    return np.stack([np.sin(angle), np.cos(angle)], axis=-1).astype(np.float32)


def refined_details(network: "TideNet", conditions: Any, noise: Any, mask: Any) -> Any:
    """Return the refiner's detail for each noise (member, lead, height, width), torch tensors.

    `conditions` are those of one forecast (1, maps, height, width).
    """
    import torch

    parts = []
    for some in torch.split(noise, REFINER_BATCH):
        given = conditions.expand(len(some), -1, -1, -1)
        parts.append(network.refiner.refine(given, some * mask) * mask)
    return torch.cat(parts)


def unit_details(around: np.ndarray, detail_std: np.ndarray, grid: WorkingGrid) -> np.ndarray:
    """Scale details to unit variance and take out what they share over the whole area.

    The variance over the area is made 1 for each map, so that the spread of an ensemble is that of
    the measured errors also where the refiner sees anomalies larger than any in its training.

    Parameters
    ----------
    around
        Details minus the best one (member, lead, height, width).
    detail_std
        Their standard deviation (lead, height, width).
    grid
        The working grid.
    """
    unit = around / detail_std
    shared = np.average(unit, axis=(-2, -1), weights=grid.block_weight)
    unit = (unit - shared[..., None, None]) * grid.mask
    variance = np.average(np.square(unit), axis=(-2, -1), weights=grid.block_weight)
    scaled: np.ndarray = unit / np.sqrt(np.maximum(variance, 1e-12))[..., None, None]
    return scaled.astype(np.float32)


def rebuild_tidenet(
    tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any], domain: Domain
) -> TideNetForecaster:
    """Rebuild a forecaster from what `TideNetForecaster.tensors` and ``metadata`` returned."""
    import torch

    from tidenet.model.network import TideNet

    config = TideNetConfig.model_validate(metadata["config"])
    climatology = MonthlyClimatology(tensors["climatology_mean"], tensors["climatology_std"])
    slow = tensors["slow"] if config.slow_months else None
    with torch.random.fork_rng(devices=[]):
        network = TideNet(config)
    prefix = "network."
    state = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    references = {}
    for name in metadata["references"]:
        own = {k.split(".", 1)[1]: v for k, v in tensors.items() if k.startswith(f"{name}.")}
        own["damping"] = tensors["damping"]
        references[name] = rebuild(name, domain, climatology, config.n_leads, own)
    return TideNetForecaster(
        config,
        domain,
        LinearPart(climatology, tensors["damping"], slow),
        network.eval(),
        tensors["follow"],
        Dressing(tensors["dressing_patterns"], tensors["dressing_local_std"]),
        tensors["detail_std"],
        references,
    )
