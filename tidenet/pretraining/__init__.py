"""Learning from simulated worlds before learning from a sea; the names that callers use."""

from tidenet.pretraining.backbone import (
    Backbone,
    BackboneMismatchError,
    DamagedBackboneError,
    find_backbone,
    load_backbone,
    save_backbone,
    shipped_backbones,
)

__all__ = [
    "Backbone",
    "BackboneMismatchError",
    "DamagedBackboneError",
    "find_backbone",
    "load_backbone",
    "save_backbone",
    "shipped_backbones",
]
