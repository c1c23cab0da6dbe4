"""What can go wrong between a record and a forecast."""

from storage.errors import TidenetError


class NotEnoughMonthsError(TidenetError):
    """The record is too short for what was asked."""


class IncompatibleModelError(TidenetError):
    """Weights and record differ in grid, mask, window or channels."""


class TrainingDivergedError(TidenetError):
    """The training loss stopped being a number."""


class IncompleteFieldError(TidenetError):
    """An ocean cell of an input field has no value."""
