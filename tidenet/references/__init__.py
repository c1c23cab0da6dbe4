"""What a careful forecaster would use instead of a network; the names that callers use."""

from tidenet.references.dressed import (
    METHODS,
    Climatology,
    DampedPersistence,
    Persistence,
    Reference,
    UnknownMethodError,
    fit_reference,
    fit_with_climatology,
    rebuild,
)

__all__ = [
    "METHODS",
    "Climatology",
    "DampedPersistence",
    "Persistence",
    "Reference",
    "UnknownMethodError",
    "fit_reference",
    "fit_with_climatology",
    "rebuild",
]
