"""What the clients of all providers have in common: they are asked with care.

Neither ``copernicusmarine`` nor ``earthaccess`` limits how long it waits, and both would ask a
person for a password. Credentials are therefore looked for first, and every call has a limit.
"""

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, TypeVar

from ingest.sources.addresses import reason
from ingest.sources.errors import MissingCredentialsError, ProviderError, ProviderNotInstalledError
from storage.outside import bounded

Result = TypeVar("Result")


def client_of(package: str, extra: str) -> Any:
    """Return the module of a provider's client.

    Raises
    ------
    ProviderNotInstalledError
        If it is not installed.
    """
    try:
        return import_module(package)
    except ImportError as error:
        raise ProviderNotInstalledError(
            f"The package {package} is needed to reach this source.",
            found=reason(error),
            remedy=f"pip install 'tidenet[{extra}]'",
        ) from error


def require_credentials(
    provider: str, ways: Sequence[tuple[str, ...]], environment: Mapping[str, str], *, register: str
) -> None:
    """Raise unless the environment holds one of several sets of credentials.

    Parameters
    ----------
    provider
        Name for messages.
    ways
        Names of variables; all of one tuple suffice.
    environment
        The environment variables.
    register
        Where a person gets credentials.

    Raises
    ------
    MissingCredentialsError
        If there are none.
    """
    if any(all(environment.get(name) for name in names) for names in ways):
        return
    given = sorted(name for names in ways for name in names if environment.get(name))
    raise MissingCredentialsError(
        f"There are no credentials for {provider}.",
        found=f"only {', '.join(given)}" if given else "no variable is set",
        expected=", or ".join(" and ".join(names) for names in ways),
        remedy=f"Set them in the environment; register at {register}.",
    )


def asked(
    provider: str,
    function: Callable[..., Result],
    *secrets: str,
    limit_s: float,
    **arguments: object,
) -> Result:
    """Call a provider's client, wait for a limited time, and name what goes wrong.

    What was called goes on after the limit in a thread that does not keep the process alive.

    Raises
    ------
    ProviderError
        If it fails, or does not answer in time; the secrets are not repeated.
    """
    try:
        return bounded(lambda: function(**arguments), limit_s=limit_s)
    except (Exception, SystemExit) as error:  # copernicusmarine ends the process on bad logins
        raise ProviderError(
            f"{provider} cannot be asked.",
            found=reason(error, *secrets),
            remedy="Check the credentials, the names in the section source of the product, and "
            "the provider's status page; then run the same command again.",
        ) from error
