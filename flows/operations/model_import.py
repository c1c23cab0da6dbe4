"""Take a model that was trained elsewhere into the registry, if it fits this record."""

import getpass
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.operations.model_files import ModelFiles, fetch_model, research_checkpoint
from flows.operations.versions import training_of
from flows.operations.workspace import Workspace
from storage.errors import TidenetError
from storage.months import Month
from storage.months import month as parse_month
from storage.registry import ModelVersion, model, register_model

if TYPE_CHECKING:
    import numpy as np

    from storage.carbon_ecs import CarbonEcs
    from tidenet.identity import Domain


class InvalidModelNameError(TidenetError):
    """A name for a model has letters that a version cannot have."""


class UnknownTrainingSpanError(TidenetError):
    """Nobody says which months a model has learned from."""


@dataclass(frozen=True)
class TrainingSpan:
    """First and last month that a model has learned from; None where its metadata say it."""

    first: Month | None = None
    last: Month | None = None


def import_model(
    workspace: Workspace,
    source: str,
    *,
    sha256: str = "",
    name: str = "",
    note: str = "",
    span: TrainingSpan | None = None,
) -> ModelVersion:
    """Take a model into the registry. It forecasts nothing before it is promoted.

    Parameters
    ----------
    workspace
        Settings, archive and clock.
    source
        A folder with ``weights.safetensors`` and ``model.json``, such a weights file, or a
        checkpoint of the research code; local or at an ``http(s)://`` or ``s3://`` URL.
    sha256
        What its checksum must be: that of the weights file, or that of the model as another
        registry shows it. Empty to take what comes.
    name
        Beginning of its version; empty for that of where it comes from.
    note
        What to write about it. What had to be assumed of it is added.
    span
        Months that it has learned from, where its metadata do not say them.

    Raises
    ------
    WrongChecksumError, ModelTooLargeError, ModelFileError
        If the files are not those that were asked for, or there are none.
    PickledCodeError
        If reading a checkpoint could run code.
    UnreadableCheckpointError, UpstreamConfigError, UpstreamWeightsError
        If a file without metadata beside it is no checkpoint of the research code.
    SourceUnavailableError
        If they cannot be had.
    CorruptWeightsError
        If they cannot be read.
    IncompatibleModelError
        If it is of another grid, ocean, channel list or window; the message lists every difference.
    ForeignNormalisationError
        If weights and normalisation are of different models.
    UnknownTrainingSpanError
        If its metadata do not say what it has learned from, and ``span`` does not either.
    """
    from storage.weights import parse_model, save_files

    _require_name(name)
    store = workspace.record()
    with tempfile.TemporaryDirectory(prefix="tidenet-import-") as work:
        files = fetch_model(workspace, source, Path(work))
        if sha256:
            files.require_checksum(sha256)
        if files.metadata is None:
            weights, text, assumed = _research_checkpoint(files, store)
            note = "; ".join(part for part in (note, *assumed) if part)
        else:
            weights, text = files.weights.read_bytes(), files.metadata.read_bytes()
    tensors, metadata = parse_model(weights, text, files.origin)
    require_fit(workspace, store, tensors, metadata)
    row = _row(workspace, store, files, metadata, span or TrainingSpan(), note)
    stored = save_files(
        workspace.settings.models_url, name or _name_of(files), weights, text, workspace.patience
    )
    version = ModelVersion(
        version=stored.version, weights_url=stored.uri, weights_sha256=stored.sha256, **row
    )
    register_model(workspace.engine, version)
    return model(workspace.engine, stored.version)


def require_fit(
    workspace: Workspace,
    store: "CarbonEcs",
    tensors: "Mapping[str, np.ndarray]",
    metadata: Mapping[str, Any],
) -> None:
    """Refuse a model that does not fit the record and the settings.

    Raises
    ------
    IncompatibleModelError
        With every difference in grid, ocean, channels and window.
    ForeignNormalisationError
        If weights and normalisation are of different models.
    """
    from tidenet.belonging import PARTS, require_same_model
    from tidenet.errors import IncompatibleModelError
    from tidenet.identity import Domain
    from tidenet.loading import load_forecaster

    lines = _differences(workspace, store, metadata, Domain(store.grid, store.ocean))
    if not isinstance(metadata.get(PARTS), Mapping):
        lines.append("parts: no digests of weights and normalisation")
    if lines:
        raise IncompatibleModelError(
            "This model does not fit the record and the settings.",
            found="; ".join(lines),
            expected="the grid, ocean mask, channels and window of this record",
            remedy="Take a model of this record. Leads are set by TIDENET_N_LEADS; drivers are "
            "added to the record by ingesting them.",
        )
    require_same_model(tensors, metadata)
    if metadata["method"] == "upstream":
        return
    forecaster = load_forecaster(tensors, metadata, store.grid, store.ocean)
    window = {"n_history": forecaster.n_history, "n_leads": forecaster.n_leads}
    wrong = [
        f"{key}: {metadata[key]!r} in the metadata, {value} in the configuration"
        for key, value in window.items()
        if metadata[key] != value
    ]
    if wrong:
        raise IncompatibleModelError(
            "The metadata of this model contradict each other.",
            found="; ".join(wrong),
            expected="one window",
            remedy="Take the model again from where it was trained.",
        )


def _differences(
    workspace: Workspace, store: "CarbonEcs", metadata: Mapping[str, Any], domain: "Domain"
) -> list[str]:
    """Return one line for each way in which a model is not of this record and these settings."""
    from tidenet.identity import differences

    lines = []
    method = metadata.get("method")
    if method not in ("tidenet", "upstream"):
        lines.append(f"method: {method!r} instead of 'tidenet'")
    lines += differences(metadata, domain.describe())
    config = metadata.get("config")
    config = config if isinstance(config, Mapping) else {}
    wanted = [str(name) for name in config.get("drivers", ())]
    there = store.drivers.names() if wanted else ()
    missing = [name for name in wanted if name not in there]
    if missing:
        lines.append(
            f"channels: {', '.join(['flux', *wanted])}, of which the record lacks "
            f"{', '.join(missing)}"
        )
    n_channels = config.get("img_channels", 1)
    if n_channels != 1:
        lines.append(f"channels: {n_channels} instead of 1, the flux")
    n_leads = workspace.settings.n_leads
    if metadata.get("n_leads") != n_leads:
        lines.append(f"n_leads: {metadata.get('n_leads')!r} instead of {n_leads}")
    n_months = 0 if store.last_month is None else len(store.month_revisions())
    n_history = metadata.get("n_history")
    if not isinstance(n_history, int) or not 1 <= n_history <= max(n_months, 1):
        lines.append(f"n_history: {n_history!r} instead of 1 to {n_months}, the record's months")
    return lines


def _row(
    workspace: Workspace,
    store: "CarbonEcs",
    files: ModelFiles,
    metadata: Mapping[str, Any],
    span: TrainingSpan,
    note: str,
) -> dict[str, Any]:
    """Return a version's columns apart from its name and place."""
    training = training_of(metadata)

    def month_of(key: str) -> Month | None:
        return parse_month(str(training[key])) if training.get(key) else None

    first, last = span.first or month_of("trained_from"), span.last or month_of("trained_until")
    if first is None or last is None:
        raise UnknownTrainingSpanError(
            "Nobody says which months this model has learned from.",
            found="metadata without a training span",
            expected="first and last month: a hindcast inside it would be no forecast",
            remedy="Give them: --trained-from YYYY-MM --trained-until YYYY-MM.",
        )
    now = workspace.now()
    return {
        "method": metadata["method"],
        "grid": store.grid.name,
        "snapshot_id": str(training.get("snapshot_id", "")),
        "trained_from": first,
        "trained_until": last,
        "validated_from": month_of("validated_from"),
        "validated_until": month_of("validated_until"),
        "seed": int(training.get("seed", 0)),
        "code_version": str(training.get("code_version", "")),
        "created_at": now,
        "config": metadata.get("config", {}),
        "metrics": metadata.get("metrics", {}),
        "note": note,
        "source": f"{files.origin}, imported by {getpass.getuser()} at {now:%Y-%m-%d %H:%M} UTC",
    }


def _research_checkpoint(
    files: ModelFiles, store: "CarbonEcs"
) -> tuple[bytes, bytes, tuple[str, ...]]:
    """Return a checkpoint of the research code as the two files of a model of method upstream.

    Its tensors are called ``network.`` and upstream's name. With them comes what was assumed.
    """
    import numpy as np

    from storage.weights import model_files
    from tidenet.belonging import NETWORK_PREFIX, PARTS, part_digests
    from tidenet.identity import Domain

    found = research_checkpoint(files)
    config = found.config
    tensors = {
        f"{NETWORK_PREFIX}.{name}": np.ascontiguousarray(value.detach().cpu().numpy())
        for name, value in found.state.items()
    }
    metadata = {
        "method": "upstream",
        "n_history": config.T_in,
        "n_leads": config.T_out,
        "config": vars(config) | {"input_shape": list(config.input_shape)},
        PARTS: part_digests(tensors),
    } | Domain(store.grid, store.ocean).describe()
    return *model_files(tensors, metadata), found.notes


def _name_of(files: ModelFiles) -> str:
    """Return the beginning of a version from where a model comes from, without its digest."""
    stem = re.sub(r"-[0-9a-f]{8}$", "", re.sub(r"\.\w+$", "", files.name))
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "imported"


def _require_name(name: str) -> None:
    if name and not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,80}", name):
        raise InvalidModelNameError(
            "This cannot be the beginning of a version.",
            found=repr(name),
            expected="letters, digits, dots, hyphens and underscores",
            remedy="Choose another --name.",
        )
