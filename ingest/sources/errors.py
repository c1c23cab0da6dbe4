"""What can go wrong between a provider's server and a file on the local disk."""

from ingest.errors import SourceUnavailableError
from storage.errors import TidenetError


class SourceForbiddenError(SourceUnavailableError):
    """A server refuses to hand out a listing or a file: no credentials, or not the right ones."""


class SourceFileMissingError(SourceUnavailableError):
    """A file or a listing is not where it was said to be."""


class WebPageInsteadOfDataError(SourceUnavailableError):
    """A server answers with a web page, such as a login form, where data should be."""


class ChecksumMismatchError(SourceUnavailableError):
    """What arrived does not have the checksum that the provider states."""


class ProviderError(SourceUnavailableError):
    """A provider's own client could not list the files of a data set."""


class ProviderNotInstalledError(TidenetError):
    """The package that reaches a provider is not installed."""


class MissingCredentialsError(TidenetError):
    """The environment holds no credentials for a provider."""


class DownloadFolderError(TidenetError):
    """Downloads cannot be kept: the disk is full, or the folder cannot be written."""
