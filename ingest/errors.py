"""What can go wrong between a provider's file and a month of the record."""

from storage.errors import TidenetError


class UnknownProductError(TidenetError):
    """A product was asked for by a name that no specification has."""


class InvalidSpecificationError(TidenetError):
    """A product specification cannot be read or says something impossible."""


class SourceUnavailableError(TidenetError):
    """A landing zone or a file in it cannot be reached."""


class SyntheticMonthError(TidenetError):
    """The synthetic sea has no such month."""


class RefusedFileError(TidenetError):
    """A product file that must not enter the record.

    Every subclass names the check that refuses the file, so that a refusal becomes a structural
    check result. A person cannot accept a file against it.
    """

    check = "file-refused"


class UnreadableFileError(RefusedFileError):
    """The bytes are not a whole NetCDF-4 (HDF5) file."""

    check = "readable"


class FileTooLargeError(RefusedFileError):
    """A file, or an array that it claims to hold, is larger than a month can be."""

    check = "size"


class VariableNotFoundError(RefusedFileError):
    """None of the declared variable names is in the file."""

    check = "variable"


class InvalidEncodingError(RefusedFileError):
    """Values, fills, scale or dimensions of a variable cannot be decoded without guessing."""

    check = "encoding"


class UnitsError(RefusedFileError):
    """The units in the file are not units of a flux of carbon or CO2."""

    check = "units"


class MissingUnitsError(UnitsError):
    """The variable says no units."""

    check = "units-present"


class SignError(RefusedFileError):
    """The file's own words about the direction of the flux contradict the specification."""

    check = "direction"


class GridMismatchError(RefusedFileError):
    """The coordinates are not those of the declared grid."""

    check = "grid"


class MaskMismatchError(RefusedFileError):
    """The file's ocean mask is not the record's."""

    check = "mask"


class InvalidTimeError(RefusedFileError):
    """The time variable is missing or cannot be understood."""

    check = "time"


class TimeMismatchError(RefusedFileError):
    """The file's name and its time variable name different months."""

    check = "time-and-name"


class ManyTimesError(RefusedFileError):
    """The file holds more than one time, or none."""

    check = "one-time"


class FutureMonthError(RefusedFileError):
    """The month has not come yet."""

    check = "not-in-future"


class EmptyMonthError(RefusedFileError):
    """Every value is missing."""

    check = "not-empty"


class ZeroMonthError(RefusedFileError):
    """Every value is zero."""

    check = "not-zero"


class ImpossibleValuesError(RefusedFileError):
    """Values that no sea and no air above it can have."""

    check = "possible-values"


class MissingMonthError(RefusedFileError):
    """A file that holds several months does not hold the one that is wanted."""

    check = "holds-the-month"


class TooLittleObservedError(RefusedFileError):
    """So little of the ocean was observed that the rest would be invented."""

    check = "enough-observed"


class DuplicateMonthError(RefusedFileError):
    """Two files of one landing zone claim the same month."""

    check = "one-file-a-month"


class TooEarlyError(RefusedFileError):
    """The month lies before the first month that the product's record may hold."""

    check = "not-too-early"
