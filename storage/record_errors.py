"""What can go wrong with the Carbon-ECS record."""

from collections.abc import Sequence

from storage.errors import TidenetError


class RecordNotFoundError(TidenetError):
    """There is no record, or no such snapshot of it, at the given place."""


class RecordExistsError(TidenetError):
    """A record was to be created where there is one."""


class RecordMismatchError(TidenetError):
    """A month, a declaration and the stored record do not fit; every difference is listed.

    Parameters
    ----------
    message
        One sentence: what does not fit what.
    differences
        One sentence for each difference.
    remedy
        What to do.
    """

    @classmethod
    def listing(
        cls, message: str, differences: Sequence[str], remedy: str
    ) -> "RecordMismatchError":
        """Return the error for a list of differences."""
        return cls(message, found="".join(f"\n- {line}" for line in differences), remedy=remedy)


class MonthNotInRecordError(TidenetError):
    """The record does not hold a month that was asked for."""


class GapError(TidenetError):
    """A month would leave a gap on the time axis."""


class BeforeRecordError(TidenetError):
    """A month is earlier than the first one of the record."""


class ConcurrentWriteError(TidenetError):
    """Another process writes to the record, and did not finish in time."""


class ReadOnlyRecordError(TidenetError):
    """A record opened at an old snapshot cannot be written to."""
