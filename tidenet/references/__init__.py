"""What a careful forecaster would use instead of a network; the names that callers use."""

from tidenet.references.dressed import (
    KEPT,
    METHODS,
    Fitted,
    Reference,
    UnknownMethodError,
    dressing_of,
    fit_method,
    fit_reference,
    fit_shared,
    rebuild,
)

__all__ = [
    "KEPT",
    "METHODS",
    "Fitted",
    "Reference",
    "UnknownMethodError",
    "dressing_of",
    "fit_method",
    "fit_reference",
    "fit_shared",
    "rebuild",
]
