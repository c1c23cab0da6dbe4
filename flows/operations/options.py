"""Training options: from the command line, the environment, a file and the defaults, in this order.

A file is one of the settings that the package brings, by name (``short``, ``medium``), or a YAML
file. In the environment, an option's name is ``TIDENET_TRAIN_`` and the name in capitals; ``.env``
files are read as for all settings. Lists are separated by commas.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_origin

import yaml

from storage.errors import TidenetError

if TYPE_CHECKING:
    from storage.settings import Settings
    from tidenet.configuration import TideNetConfig

PREFIX = "TIDENET_TRAIN_"
"""Beginning of the environment variables."""


class InvalidConfigurationError(TidenetError):
    """Training options do not hold what they should."""


def recipe_names() -> list[str]:
    """Return the names of the settings that the package brings."""
    return sorted(
        file.name.removesuffix(".yaml") for file in _recipes() if file.name.endswith(".yaml")
    )


def option_name(name: str) -> str:
    """Return how an option is written on the command line."""
    return f"--{name.replace('_', '-')}"


def is_config(name: str) -> bool:
    """Return whether this names a shipped setting or an existing file."""
    return name in recipe_names() or Path(name).is_file()


def training_options(
    config: str | Path = "",
    stated: Mapping[str, Any] | None = None,
    settings: "Settings | None" = None,
) -> "TideNetConfig":
    """Return the training options that hold.

    Parameters
    ----------
    config
        Name of a shipped setting, or a YAML file; empty for the defaults.
    stated
        Options by name that go before all others, as values or as text.
    settings
        Of the home folder: its ``.env`` is read too, and its number of lead months stands where no
        option says another. None for no home folder.

    Raises
    ------
    InvalidConfigurationError
        If the file cannot be read, or options do not exist or have wrong values; the message names
        all of them, and where each comes from.
    """
    import pydantic

    from tidenet.configuration import TideNetConfig

    chosen = _Chosen()
    if settings is not None:
        chosen.add({"n_leads": settings.n_leads}, lambda _: "TIDENET_N_LEADS")
    if config:
        chosen.add(_read(str(config)), lambda name: f"{config}, {name}")
    chosen.add(_environment(settings), lambda name: PREFIX + name.upper())
    chosen.add(stated or {}, option_name)
    try:
        return TideNetConfig.model_validate(chosen.values)
    except pydantic.ValidationError as error:
        raise InvalidConfigurationError(
            "The training options are not a configuration.",
            found="; ".join(chosen.complaint(item) for item in error.errors(include_url=False)),
            expected=f"options among {', '.join(TideNetConfig.model_fields)}",
            remedy="Correct them where they are set; tidenet train --help says what each may be. "
            "Options that are left out keep their defaults.",
        ) from error


@dataclass
class _Chosen:
    """Options so far, and how each was written where it was set."""

    values: dict[str, Any] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)

    def add(self, values: Mapping[str, Any], shown: Callable[[str], str]) -> None:
        """Add options that go before those so far; `shown` is how a name is written there."""
        for name, value in values.items():
            self.written[name] = shown(name)
            self.values[name] = _split(name, value)

    def complaint(self, error: Any) -> str:
        """Say in what an option is wrong."""
        if not error["loc"]:
            return str(error["msg"])
        name = str(error["loc"][0])
        wrong = "there is no such option" if error["type"] == "extra_forbidden" else error["msg"]
        return f"{self.written.get(name, name)} {self.values.get(name)!r}: {wrong}"


def _split(name: str, value: Any) -> Any:
    """Return the parts of a text where the option is a list."""
    from tidenet.configuration import TideNetConfig

    known = TideNetConfig.model_fields.get(name)
    if isinstance(value, str) and known is not None and get_origin(known.annotation) is tuple:
        return [part.strip() for part in value.strip("()[] ").split(",") if part.strip()]
    return value


def _recipes() -> list[Traversable]:
    return list((files("tidenet") / "recipes").iterdir())


def _read(config: str) -> Mapping[str, Any]:
    try:
        if config in recipe_names():
            text = (files("tidenet") / "recipes" / f"{config}.yaml").read_text()
        else:
            text = Path(config).read_text()
        stated = yaml.safe_load(text) or {}
        if not isinstance(stated, dict):
            raise TypeError(f"it holds a {type(stated).__name__}")
    except (yaml.YAMLError, OSError, UnicodeDecodeError, TypeError) as error:
        raise InvalidConfigurationError(
            f"{config} is not a training configuration.",
            found=str(error).replace("\n", " "),
            expected=f"{', '.join(recipe_names())}, or a YAML file with options and their values",
            remedy="Correct the name or the file; options that are left out keep their defaults.",
        ) from error
    return {str(name): value for name, value in stated.items()}


def _environment(settings: "Settings | None") -> dict[str, str]:
    """Return the training options of the environment, by name."""
    from pydantic_settings import DotEnvSettingsSource, EnvSettingsSource

    from storage.settings import Settings

    env_files = [Path(".env")] + ([settings.home / ".env"] if settings is not None else [])
    found = {
        **DotEnvSettingsSource(Settings, env_file=env_files).env_vars,
        **EnvSettingsSource(Settings).env_vars,
    }
    return {
        name.lower().removeprefix(PREFIX.lower()): value
        for name, value in found.items()
        if name.lower().startswith(PREFIX.lower()) and value is not None
    }
