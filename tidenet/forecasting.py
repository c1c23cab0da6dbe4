"""Forecasting with a trained TIDE-Net."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from storage.months import Month, calendar_months
from storage.months import month as parse_month
from tidenet.climatology import MonthlyClimatology
from tidenet.configuration import TideNetConfig
from tidenet.disequilibrium import Disequilibrium
from tidenet.dressing import Dressing, dress, white_noise
from tidenet.drivers import DriverScaling
from tidenet.forecaster import Forecast
from tidenet.identity import Domain, input_window
from tidenet.record import FluxRecord
from tidenet.references import KEPT, Reference, rebuild
from tidenet.references.blend import Blend
from tidenet.references.linear import History, LinearPart, cycle_from, cycle_tensors
from tidenet.references.scales import TwoScales
from tidenet.verification.monthly import season_of
from tidenet.working_grid import WorkingGrid

if TYPE_CHECKING:
    import torch

    from tidenet.model.network import NetworkInput, TideNet

REFINER_BATCH = 8
"""Members whose detail is refined at once; more only cost memory."""


@dataclass(frozen=True)
class TideNetForecaster:
    """A trained TIDE-Net with all that it needs to forecast.

    The best estimate is the best linear forecast (`tidenet.references.blend`, on top of the
    expected season and trend) plus the mean departure of the networks from it, on the working grid,
    followed as far as the validation block has shown it to help; interpolated to the record's own
    grid, where what is left of the local detail is added.
    Members add errors like those of forecasts of left-out months (`tidenet.dressing`), scaled to
    the size that errors had in the validation block; of their local part, the share
    ``config.detail_share`` is detail from the diffusion refiner.

    Parameters
    ----------
    config
        Shape of the network and recipe that it was trained with.
    domain
        Grid and ocean mask.
    linear
        The linear forecast of the whole training period.
    networks
        Trained networks, one per seed.
    follow
        How far to follow the networks' departure, 0 to 1, float32 (lead,).
    dressing
        Errors of the forecasts.
    spread
        Factor on the standard deviation of the errors by lead and season of the valid month
        (`tidenet.verification.monthly.SEASONS`), float32 (lead, 4).
    detail_std
        Standard deviation of the refiner's details around the best one, float32
        (lead, height, width) on the working grid; above zero.
    drivers
        Normalisation of the drivers that the networks read.
    disequilibrium
        Calendar of transfer and disequilibrium, where that is what is forecast; None for the flux.
    references
        Reference forecasters of the same training period, by name.
    """

    config: TideNetConfig
    domain: Domain
    linear: LinearPart
    networks: tuple["TideNet", ...]
    follow: np.ndarray
    dressing: Dressing
    spread: np.ndarray
    detail_std: np.ndarray
    drivers: DriverScaling
    disequilibrium: Disequilibrium | None
    references: dict[str, Reference]

    name = "tidenet"

    @property
    def n_history(self) -> int:
        """Months of history that it needs, the init month included."""
        return self.config.n_history

    @property
    def n_leads(self) -> int:
        """Lead months that it gives."""
        return self.config.n_leads

    @property
    def climatology(self) -> MonthlyClimatology:
        """Climatology of the training period."""
        return self.linear.scales.climatology

    @property
    def working_grid(self) -> WorkingGrid:
        """The network's grid."""
        return self.linear.scales.grid

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
        UnknownDriverError
            If the record lacks a driver that the networks read.
        """
        self.domain.require_record(record)
        fields = input_window(record, init_month, self.n_history)
        if self.disequilibrium is not None:
            window = record.between(init_month - (self.n_history - 1), init_month)
            fields = self.disequilibrium.at_usual_transfer(window).fco2
        history = self.linear.read(fields, init_month)
        blocks = self.linear.blocks(history)
        grid, sea = self.working_grid, self.linear.scales.sea
        noise = white_noise(rng, grid, n_members, self.n_leads)
        if self.follow.any() or self.config.detail_share:
            after = record.index(init_month) + 1
            drivers = self.drivers.maps(record, range(after - self.n_history, after), grid)
            x = network_input(self.linear, history, blocks, drivers, self.n_history)
            departure, noise = self._run_networks(x, noise, rng)
            blocks = blocks + self.follow[:, None] * departure[:, sea.ocean]
        best = self.linear.flux(blocks, history)
        valid = [init_month + k for k in range(1, self.n_leads + 1)]
        spread = [self.climatology.std_of(m) for m in valid]
        factor = self.spread[np.arange(self.n_leads), season_of(np.array(valid))]
        members = dress(best, spread, self.dressing.scaled(factor), grid, noise, rng)
        return Forecast(self.domain.grid, init_month, members, best)

    def _run_networks(
        self, x: "NetworkInput", noise: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the mean departure (lead, height, width), and each member's local noise."""
        import torch

        share = np.float32(self.config.detail_share)
        device = next(self.networks[0].parameters()).device
        x = x.to(device)
        departures = []
        with torch.inference_mode():
            for network in self.networks:
                output = network.eval()(x, torch.zeros_like(x.linear))
                departures.append(output.departure[0].cpu().numpy())
            if share > 0:  # the last network's refiner draws the details
                grid = self.working_grid
                start = torch.from_numpy(white_noise(rng, grid, len(noise), self.n_leads))
                details = refined_details(network, output.conditions, start.to(device), x.mask)
                around = details.cpu().numpy() - output.detail.cpu().numpy()
                refined = unit_details(around, self.detail_std, grid)
                noise = np.sqrt(1 - share) * noise + np.sqrt(share) * refined
        return np.mean(departures, axis=0), noise

    def to(self, device: "torch.device") -> "TideNetForecaster":
        """Move the networks to a device, where they compute from then on, and return this."""
        for network in self.networks:
            network.to(device)
        return self

    def tensors(self) -> dict[str, np.ndarray]:
        """Return every array that is needed to rebuild this forecaster."""
        assert isinstance(self.linear.method, Blend)
        assert self.linear.cycle is not None
        parts: dict[str, Mapping[str, np.ndarray]] = {
            "scales": self.linear.scales.tensors(),
            "cycle": cycle_tensors(self.linear.cycle),
            "blend": self.linear.method.tensors(),
            "dressing": self.dressing.tensors(),
            "drivers": self.drivers.tensors(),
        }
        if self.disequilibrium is not None:
            parts["disequilibrium"] = self.disequilibrium.tensors()
        parts |= {name: reference.own_tensors() for name, reference in self.references.items()}
        for number, network in enumerate(self.networks):
            state = network.state_dict()
            parts[f"network{number}"] = {k: v.detach().cpu().numpy() for k, v in state.items()}
        saved = {"follow": self.follow, "spread": self.spread, "detail_std": self.detail_std}
        saved |= {f"{part}.{k}": v for part, arrays in parts.items() for k, v in arrays.items()}
        return {key: np.ascontiguousarray(array) for key, array in saved.items()}

    def metadata(self) -> dict[str, Any]:
        """Return everything else, JSON-able; ``metadata["method"]`` is ``"tidenet"``."""
        return {
            "method": self.name,
            "n_history": self.n_history,
            "n_leads": self.n_leads,
            "first_month": str(self.linear.first_month),
            "n_networks": len(self.networks),
            "config": self.config.model_dump(mode="json"),
            "references": list(self.references),
        } | self.domain.describe()


def network_input(
    linear: LinearPart,
    history: History,
    blocks: np.ndarray,
    drivers: np.ndarray,
    n_history: int,
) -> "NetworkInput":
    """Return the network's input for one init month.

    Parameters
    ----------
    linear
        The linear forecast.
    history
        What it started from.
    blocks
        What it forecast (lead, block).
    drivers
        (month, driver, height, width).
    n_history
        Months that go in.
    """
    import torch

    from tidenet.model.network import NetworkInput

    sea, grid = linear.scales.sea, linear.scales.grid
    flux = sea.maps(history.remaining.values[-n_history:])[:, None]
    return NetworkInput(
        torch.from_numpy(np.concatenate([flux, drivers], axis=1))[None],
        torch.from_numpy(sea.maps(blocks))[None],
        torch.from_numpy(season(history.init_month, len(blocks)))[None],
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
        parts.append(network.refine(given, some * mask) * mask)
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
    config = TideNetConfig.model_validate(metadata["config"])
    first_month = parse_month(metadata["first_month"])

    def part(name: str) -> dict[str, np.ndarray]:
        prefix = f"{name}."
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    scales = TwoScales.from_tensors(part("scales"), domain.weight, config.working_cells)
    blend, cycle = Blend.from_tensors(part("blend")), cycle_from(part("cycle"))
    references = {
        name: rebuild(name, domain, scales, config.n_leads, first_month, part(name))
        for name in metadata["references"]
        if name in KEPT
    }
    return TideNetForecaster(
        config,
        domain,
        LinearPart(scales, cycle, blend, config.n_leads, first_month),
        tuple(_network(config, part(f"network{n}")) for n in range(metadata["n_networks"])),
        tensors["follow"],
        Dressing(tensors["dressing.patterns"], tensors["dressing.local_std"]),
        tensors["spread"],
        tensors["detail_std"],
        DriverScaling.from_tensors(config.drivers, part("drivers")),
        Disequilibrium.from_tensors(usual) if (usual := part("disequilibrium")) else None,
        references,
    )


def _network(config: TideNetConfig, state: Mapping[str, np.ndarray]) -> "TideNet":
    import torch

    from tidenet.model.network import TideNet

    with torch.random.fork_rng(devices=[]):
        network = TideNet(config)
    network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    return network.eval()
