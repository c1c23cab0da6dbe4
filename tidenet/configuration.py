"""Every choice of TIDE-Net and its training as one frozen, documented, typed value."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class TideNetConfig(BaseModel):
    """Shape of the network and recipe of its training.

    The defaults train on 204 months of the 0.1 degree grid within two minutes on two CPU cores.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    n_history: int = Field(6, ge=1, le=24, description="months of history that go in")
    n_leads: int = Field(6, ge=1, le=12, description="lead months that come out")
    working_cells: int = Field(
        64,
        ge=8,
        le=512,
        description="most cells along the longer side of the network's own, coarser grid",
    )
    drivers: tuple[str, ...] = Field(
        (), description="fields of the record that go in beside the flux, by name"
    )
    target: Literal["flux", "disequilibrium"] = Field(
        "flux",
        description="what is forecast: the flux, or the disequilibrium (sea minus air pCO2) times "
        "the usual transfer of the valid month, which needs the driver 'transfer'",
    )
    hidden_channels: int = Field(
        8,
        ge=8,
        multiple_of=8,
        description="feature maps of each month in the amplitude branch, and of the phase branch",
    )
    n_modes: int = Field(
        12, ge=2, description="low Fourier modes per direction that turn and that alpha holds"
    )
    n_spectral_cells: int = Field(2, ge=1, le=8, description="spectral cells in a row")
    refiner: Literal["unet", "diffusion", "none"] = Field(
        "unet",
        description="local refiner: two U-Nets behind the second spectral cell, a diffusion of the "
        "residual detail with a few denoising steps, or none",
    )
    refiner_channels: tuple[int, ...] = Field(
        (8, 16), min_length=1, max_length=3, description="U-Net channels of the refiner, by depth"
    )
    refiner_steps: int = Field(
        3, ge=2, le=20, description="denoising steps of the diffusion refiner"
    )
    fusion_channels: tuple[int, ...] = Field(
        (8, 8, 16, 16),
        min_length=1,
        max_length=4,
        description="U-Net channels of the fusion head, by depth",
    )
    n_epochs: int = Field(12, ge=0, description="most passes over the training windows")
    patience: int = Field(
        8, ge=1, description="epochs without a better validation loss before training stops"
    )
    batch_size: int = Field(
        8, ge=1, description="windows per optimiser step, all processes together"
    )
    accumulate_batches: int = Field(
        1,
        ge=1,
        description="parts that a step's windows are worked off in, one after another, to save "
        "memory; the step stays the same",
    )
    precision: Literal["float32", "bf16"] = Field(
        "float32",
        description="of the convolutions in training; weights, Fourier work and losses are "
        "float32 always",
    )
    learning_rate: float = Field(2e-3, gt=0, description="peak AdamW learning rate")
    weight_decay: float = Field(0.02, ge=0, description="AdamW weight decay")
    ema_decay: float = Field(
        0.95, ge=0, lt=1, description="decay per step of the averaged weights that are kept"
    )
    amplitude_loss: float = Field(0.1, ge=0, description="weight of the amplitude image's error")
    phase_loss: float = Field(0.02, ge=0, description="weight of the phase error")
    refiner_loss: float = Field(0.1, ge=0, description="weight of the refiner's denoising error")
    validation_months: int = Field(
        24, ge=2, description="last months of the record, kept for validation"
    )
    detail_share: float = Field(
        0.0,
        ge=0,
        le=1,
        description="part of the members' local variance drawn by the diffusion refiner; the rest "
        "is independent noise, which scored the better CRPS with a couple of hundred months",
    )
    backbone: str = Field(
        "shipped",
        description="weights that training starts from: 'shipped', those of the package "
        "(pre-trained on simulated worlds) where they fit the network; 'none'; a file; or "
        "the folder of a training's checkpoint",
    )
    n_networks: int = Field(
        1, ge=1, le=16, description="networks of different seeds whose mean is followed"
    )
    surrogate_months: int = Field(
        0,
        ge=0,
        description="months of a surrogate history, drawn from a linear inverse model of the "
        "training period, to learn from besides; 0, or more than n_history + n_leads",
    )
    n_patterns: int = Field(24, ge=1, description="error patterns that dress the ensemble")

    @model_validator(mode="after")
    def _validation_holds_a_target_window(self) -> Self:
        if self.validation_months < self.n_leads + 1:
            raise ValueError(
                f"validation_months, {self.validation_months}, must be more than n_leads, "
                f"{self.n_leads}"
            )
        return self

    @model_validator(mode="after")
    def _surrogates_hold_two_windows(self) -> Self:
        least = self.n_history + self.n_leads + 1
        if 0 < self.surrogate_months < least:
            raise ValueError(
                f"surrogate_months, {self.surrogate_months}, must be 0 or at least {least}"
            )
        return self

    @classmethod
    def tiny(cls, **changes: object) -> Self:
        """Return a very small network, for tests and first looks; seconds to train."""
        small: dict[str, object] = {
            "working_cells": 24,
            "hidden_channels": 8,
            "n_modes": 4,
            "n_spectral_cells": 1,
            "refiner_channels": (8,),
            "fusion_channels": (8,),
            "refiner_steps": 2,
            "n_epochs": 4,
            "n_patterns": 8,
        }
        return cls.model_validate(small | changes)
