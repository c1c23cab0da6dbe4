"""The one base of every error that a user can cause or has to act on."""


class TidenetError(Exception):
    """An error that says what was found, what was expected and what to do.

    Every room derives its own named errors from this class, so that a caller can catch one
    kind of trouble by name and a person can read what to do about it.

    Parameters
    ----------
    message
        One sentence: what went wrong.
    found, expected, remedy
        What was there, what should have been there, and the next step. Empty parts are left out.
    """

    def __init__(
        self, message: str, *, found: object = "", expected: object = "", remedy: str = ""
    ) -> None:
        self.message = message
        self.found = str(found)
        self.expected = str(expected)
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [self.message]
        if self.found:
            parts.append(f"Found: {self.found}.")
        if self.expected:
            parts.append(f"Expected: {self.expected}.")
        if self.remedy:
            parts.append(f"What to do: {self.remedy}")
        return " ".join(parts)

    def __reduce__(self) -> tuple[object, ...]:
        """Survive the trip between processes (keyword-only arguments do not by default)."""
        state = {"found": self.found, "expected": self.expected, "remedy": self.remedy}
        return (_rebuild, (type(self), self.message, state))


def _rebuild(kind: type[TidenetError], message: str, state: dict[str, str]) -> TidenetError:
    error = kind.__new__(kind)
    TidenetError.__init__(error, message, **state)
    return error


class UnknownGridError(TidenetError):
    """A grid was asked for by a name that is not declared."""


class InvalidMonthError(TidenetError):
    """A text or value does not name a month."""
