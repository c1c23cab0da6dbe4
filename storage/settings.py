"""Where things are kept, and how long to wait for them. Everything comes from the environment."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Settings, from ``TIDENET_*`` environment variables, or ``.env`` here or in the home folder.

    The defaults need no service: a local folder and SQLite. Credentials for S3 come from the usual
    ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_ENDPOINT_URL`` and ``AWS_REGION``.
    """

    model_config = SettingsConfigDict(env_prefix="TIDENET_", env_file=".env", extra="ignore")

    home: Annotated[
        Path, Field(description="Folder for everything that has no URL of its own.")
    ] = Path("tidenet-data")
    product: Annotated[str, Field(description="Product ingested when none is named.")] = (
        "synthetic-ecs"
    )
    products_folder: Annotated[
        Path | None, Field(description="Folder with further product specifications (YAML).")
    ] = None
    regions: Annotated[
        Path | None,
        Field(description="GeoJSON file with further regions that fluxes are averaged over."),
    ] = None
    landing: Annotated[
        str, Field(description="Where new product files arrive (folder or URL).")
    ] = ""
    downloads: Annotated[
        Path | None, Field(description="Folder that keeps files fetched from afar.")
    ] = None
    record: Annotated[str, Field(description="Carbon-ECS repository (folder or s3:// URL).")] = ""
    quarantine: Annotated[str, Field(description="Where refused files go (folder or URL).")] = ""
    predictions: Annotated[str, Field(description="Gridded predictions (folder or URL).")] = ""
    models: Annotated[str, Field(description="Model weights (folder or URL).")] = ""
    backup: Annotated[
        str, Field(description="Where copies of the archive are kept (folder or s3:// URL).")
    ] = ""
    keep_backups: Annotated[int, Field(ge=1, description="Copies of the archive to keep.")] = 8
    keep_snapshots_days: Annotated[
        int,
        Field(
            ge=1, description="Days that snapshots of the record are kept that nothing refers to."
        ),
    ] = 90
    database: Annotated[
        SecretStr, Field(description="SQLAlchemy URL of the archive; may hold a password.")
    ] = SecretStr("")
    dask_scheduler: Annotated[
        str,
        Field(description="Address of a Dask scheduler for large computations; empty: here."),
    ] = ""
    n_leads: Annotated[
        int, Field(ge=1, le=12, description="Months that forecasts of a new model reach.")
    ] = 6
    n_members: Annotated[int, Field(ge=2, description="Ensemble members of a forecast.")] = 20
    stale_months: Annotated[
        int,
        Field(
            ge=0,
            description="Months that the newest one may be behind before a forecast from it is "
            "stale; 0: never.",
        ),
    ] = 6
    stale_input: Annotated[
        Literal["degraded", "refuse"],
        Field(description="What a stale forecast is: marked degraded, or not made."),
    ] = "degraded"
    expected_days: Annotated[
        int | None,
        Field(
            ge=0,
            description="Days after a month's end by which it should have been published; empty: "
            "what the product promises.",
        ),
    ] = None
    forecast_days: Annotated[
        int,
        Field(ge=0, description="Days after a month's publication by which it is forecast from."),
    ] = 0
    gpu_wait_s: Annotated[
        float,
        Field(
            ge=0,
            description="Longest wait for a GPU worker to take up work before the CPU does it "
            "(seconds).",
        ),
    ] = 300.0
    backfill_workers: Annotated[
        int, Field(ge=1, description="Processes that make hindcasts side by side.")
    ] = 2
    alarm_webhook: Annotated[
        SecretStr,
        Field(description="URL that alarms are posted to; may hold a token. Empty: nowhere."),
    ] = SecretStr("")
    alarm_block: Annotated[
        str,
        Field(
            description="Notification block of the Prefect server that alarms go to (type/name), "
            "in place of the webhook."
        ),
    ] = ""
    promotion_margin: Annotated[
        float,
        Field(
            ge=0,
            lt=1,
            description="Skill (MSSS) that a model trained on later months may surely fall short "
            "of the champion's by and still replace it.",
        ),
    ] = 0.03
    metrics_host: Annotated[
        str, Field(min_length=1, description="Address that `tidenet metrics` listens on.")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int, Field(ge=0, le=65535, description="Port that `tidenet metrics` listens on; 0: any.")
    ] = 9464
    archive_step: Annotated[
        float, Field(gt=0, description="Cell size (degrees) of the archive's cell rows.")
    ] = 0.1
    tracker: Annotated[
        Literal["none", "tensorboard", "mlflow"],
        Field(description="Where the curves of a training go besides the progress bar."),
    ] = "none"
    timeout_s: Annotated[
        float, Field(gt=0, description="Longest wait for one answer from outside (seconds).")
    ] = 30.0
    attempts: Annotated[int, Field(ge=1, description="Tries before giving up on the outside.")] = 4

    @property
    def landing_url(self) -> str:
        """Where new product files arrive."""
        return self.landing or self._inside("landing")

    @property
    def downloads_folder(self) -> Path:
        """Local folder that keeps files fetched from afar."""
        return self.downloads or Path(self._inside("downloads"))

    @property
    def record_url(self) -> str:
        """The Carbon-ECS repository."""
        return self.record or self._inside("carbon-ecs")

    @property
    def quarantine_url(self) -> str:
        """Where refused files go."""
        return self.quarantine or self._inside("quarantine")

    @property
    def predictions_url(self) -> str:
        """Where gridded predictions are kept."""
        return self.predictions or self._inside("predictions")

    @property
    def models_url(self) -> str:
        """Where model weights are kept."""
        return self.models or self._inside("models")

    @property
    def backup_url(self) -> str:
        """Where copies of the archive are kept."""
        return self.backup or self._inside("backups")

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of the archive, password included: never log it."""
        return self.database.get_secret_value() or f"sqlite:///{self.home.absolute()}/archive.db"

    def _inside(self, name: str) -> str:
        return str(self.home.absolute() / name)


def load_settings(home: Path | None = None) -> Settings:
    """Return the settings of a home folder: its own ``.env`` first, the environment above it.

    Parameters
    ----------
    home
        The home folder; None for ``TIDENET_HOME`` or its default.
    """
    folder = home or Settings().home
    return Settings(home=folder, _env_file=(".env", folder / ".env"))
