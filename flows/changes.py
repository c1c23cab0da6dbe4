"""What registering with Prefect did."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Change:
    """What registering did to one thing.

    Parameters
    ----------
    kind
        ``work pool``, ``work queue``, ``deployment``, ``automation``, ``notification``.
    name
        Its name.
    done
        ``created``, ``changed``, ``unchanged``, ``removed``, or ``left over`` for what is
        registered and no longer declared.
    details
        For what was changed: what, from what, to what.
    """

    kind: str
    name: str
    done: str
    details: str = ""
