"""What can be wrong with weights, settings and input of the published network."""

from storage.errors import TidenetError


class UpstreamConfigError(TidenetError):
    """Settings that the published network cannot have, or that are not known."""


class UpstreamWeightsError(TidenetError):
    """Weights that are not those of the published network with these settings."""


class UpstreamInputError(TidenetError):
    """Frames that do not fit the network's window, channels or grid."""


class PickledCodeError(TidenetError):
    """A checkpoint holds more than plain tensors, and reading it could run code."""


class UnreadableCheckpointError(TidenetError):
    """A file that is no checkpoint, or a damaged one."""
