"""What can go wrong with the copy of a database itself."""

from storage.errors import TidenetError


class BackupFailedError(TidenetError):
    """A copy of the database could not be made, or not be read back."""


class BackupToolMissingError(BackupFailedError):
    """PostgreSQL's own programs for copies are not installed here."""
