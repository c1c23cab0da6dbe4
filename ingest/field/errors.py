"""What can be wrong with a file that is to be read as a monthly field."""

from storage.errors import TidenetError


class FieldError(TidenetError):
    """A file cannot be read as a monthly field."""


class FieldFileError(FieldError):
    """There is no NetCDF file or Zarr store, or it cannot be opened."""


class FieldVariableError(FieldError):
    """The variable is not in the file, is no field, or is not named though there are several."""


class FieldAxesError(FieldError):
    """Dimensions or coordinates are not time, latitude and longitude."""


class FieldTimeError(FieldError):
    """The months of a field cannot be told."""


class DuplicateMonthsError(FieldError):
    """A field holds a month more than once."""


class MissingMonthsError(FieldError):
    """A field does not hold every month between its first and last."""


class NoOceanError(FieldError):
    """A field has no cell with values that change."""


class NoAnomaliesError(FieldError):
    """A field is the same in every year."""


class FieldTooLargeError(FieldError):
    """A field is larger than can be worked on."""
