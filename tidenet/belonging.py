"""Whether the parts of a saved model belong together: its network, and what normalises its maps.

Each part has a digest in the metadata. Weights of one model beside the normalisation of another
give forecasts that look right and are wrong, so that loading compares the digests.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tidenet.errors import IncompatibleModelError

NETWORK_PREFIX = "network"
PARTS = "parts"
"""Entry of the metadata that holds the digests by part."""


class ForeignNormalisationError(IncompatibleModelError):
    """The normalisation of a saved model is not the one that its weights were trained with."""


def part_digests(tensors: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Return the hexadecimal SHA-256 of each part of a model, by name.

    Parameters
    ----------
    tensors
        What the forecaster's ``tensors()`` returned. What begins with ``network`` is the network;
        all else (climatology, damping, shrinkage, errors, ...) is the normalisation: what turns
        maps into the network's input and its output into a forecast.
    """
    digests = {"network": hashlib.sha256(), "normalisation": hashlib.sha256()}
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        part = "network" if name.startswith(NETWORK_PREFIX) else "normalisation"
        # Name, type and shape come first, so that bytes cannot move between arrays unnoticed.
        digests[part].update(f"{name}\0{array.dtype.str}\0{array.shape}\0".encode())
        digests[part].update(array.tobytes())
    return {part: digest.hexdigest() for part, digest in digests.items()}


def require_same_model(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, Any]) -> None:
    """Refuse tensors that are not those of which the metadata hold the digests.

    Metadata without digests promise nothing, and nothing is compared.

    Raises
    ------
    ForeignNormalisationError
        If the network, the normalisation or both are another model's; the message says which.
    """
    stated = metadata.get(PARTS)
    if not isinstance(stated, Mapping):
        return
    found = part_digests(tensors)
    wrong = [part for part in found if stated.get(part) != found[part]]
    if wrong:
        raise ForeignNormalisationError(
            "The normalisation does not belong to these weights: they are of different models.",
            found="; ".join(f"{part} with SHA-256 {found[part]}" for part in wrong),
            expected="; ".join(f"{part} with SHA-256 {stated.get(part)}" for part in wrong),
            remedy="Take weights, normalisation and metadata from one and the same model.",
        )
