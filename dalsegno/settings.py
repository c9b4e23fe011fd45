"""The one place that decides, from `dalsegno.toml` and the environment, where things are.

The environment (`DALSEGNO_STORE_URI`, …) wins over the file, so that a pod takes its settings from
a Secret. Importing this module costs a quarter of a second: import it where it is used.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from dalsegno.errors import ConfigurationError
from dalsegno.store import S3Access, Store, open_store

PREFIX = "DALSEGNO_"
CONFIG_VARIABLE = "DALSEGNO_CONFIG"
"""Environment name of the path of the TOML file; empty means that none is read."""

_FILE = "dalsegno.toml"
_OTHER_VARIABLES = frozenset({CONFIG_VARIABLE, "DALSEGNO_COMMIT", "DALSEGNO_SERVING_TOKEN"})
_SQLITE = "sqlite:///"
_PATHS = ("store_uri", "mlflow_uri", "secrets_dir", "config_maps_dir", "volumes_dir")
_OF_THE_CLUSTER = ("kfp_", "mlmd_", "kubernetes_", "image_")  # a task has no business with them
_KFP_STORE = "seaweedfs.kubeflow:9000"  # what the launcher takes for minio:// without a provider


class Settings(BaseSettings):
    """Where the store and MLflow are, and how they are reached.

    Attributes:
        store_uri: Absolute path of a folder, or `s3://…`, `minio://…`, `gs://…`.
        mlflow_uri: MLflow's tracking URI, if one is set; `mlflow_tracking_uri` is what to use.
        secrets_dir: Folder of the secrets that tasks name, each a folder or `.env` file.
        config_maps_dir: The same for config maps.
        volumes_dir: Folder of persistent volume claims; None: `volumes` in the store's folder.
        capsule_retention_days: How long `capsule prune` keeps a capsule that nobody uses.
        container_engine: `podman` or `docker`, or a path of either; None: whichever answers.
        container_network: Network of containers, such as `host`; None: the engine's default.
        s3_endpoint: `host:port` of an S3 server; None means AWS.
        s3_access_key: Name of the S3 account; None takes both keys from the AWS chain.
        s3_secret_key: Its secret.
        s3_region: Region of the bucket.
        s3_secure: Whether S3 is spoken over TLS.
        s3_endpoint_rewrite: `seaweedfs.kubeflow:9000=127.0.0.1:9000`, several with commas: where
            a store that only the cluster can name is reached from here.
        kfp_host: URL of the API server of Kubeflow Pipelines, or of its UI.
        kfp_ui_host: URL of the UI, where it is another one than `kfp_host`.
        kfp_namespace: Namespace of the runs; needed where KFP serves several users.
        kfp_token: Bearer token for both.
        kfp_ca_file: Certificates to trust, PEM.
        kfp_verify_tls: Whether certificates are checked.
        kfp_timeout_seconds: How long one call to the cluster may take.
        kfp_pipeline_root: Where the cluster keeps artifacts of runs that do not say otherwise.
        mlmd_address: `host:port` of ML Metadata; None asks through the UI.
        kubernetes_context: Context of kubectl's configuration; None takes the current one.
        image_prefix: Registry and folder of the images that the cluster has; None: ours.
        image_tag: Their tag; None: as compiled, or with a prefix that of the build context.
        prediction_log: Whether a server logs its predictions.
        prediction_redacted: Input columns that it never logs, several with commas.
        prediction_seal_seconds: Age at which it moves a part of the log to the store.
        prediction_buffer_mb: How much of the log may wait for the store on its disk, MiB.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="forbid", frozen=True, env_ignore_empty=True
    )

    store_uri: str = ".dalsegno"
    mlflow_uri: str | None = None
    secrets_dir: str = "secrets"
    config_maps_dir: str = "configmaps"
    volumes_dir: str | None = None
    capsule_retention_days: int = Field(30, ge=0)
    container_engine: str | None = None
    container_network: str | None = None
    s3_endpoint: str | None = None
    s3_access_key: str | None = None
    s3_secret_key: SecretStr | None = None
    s3_region: str | None = None
    s3_secure: bool = True
    s3_endpoint_rewrite: str | None = None
    kfp_host: str | None = None
    kfp_ui_host: str | None = None
    kfp_namespace: str | None = None
    kfp_token: SecretStr | None = None
    kfp_ca_file: Path | None = None
    kfp_verify_tls: bool = True
    kfp_timeout_seconds: float = Field(30.0, gt=0)
    kfp_pipeline_root: str = "minio://mlpipeline/v2/artifacts"
    mlmd_address: str | None = None
    kubernetes_context: str | None = None
    image_prefix: str | None = None
    image_tag: str | None = None
    prediction_log: bool = True
    prediction_redacted: str = ""
    prediction_seal_seconds: float = Field(10.0, ge=0.1, le=600.0)
    prediction_buffer_mb: int = Field(1024, ge=1)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Let the environment win over the file's values, which come in as arguments."""
        return env_settings, init_settings

    @field_validator(*_PATHS, mode="after")
    @classmethod
    def _absolute_here(cls, value: str | None) -> str | None:
        return None if value is None else _absolute(value, Path.cwd())

    @field_validator("s3_endpoint", mode="after")
    @classmethod
    def _host_and_port(cls, value: str | None) -> str | None:
        if value and "/" in value:
            raise ValueError("want host:port; s3_secure says whether it is http or https")
        return value

    @field_validator("kfp_host", "kfp_ui_host", mode="after")
    @classmethod
    def _url(cls, value: str | None) -> str | None:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("want a URL, http://… or https://…")
        return value.rstrip("/") if value else value

    @field_validator("s3_endpoint_rewrite", mode="after")
    @classmethod
    def _pairs(cls, value: str | None) -> str | None:
        for pair in (value or "").split(",") if value else []:
            known, _, here = pair.partition("=")
            if not known.strip() or not here.strip():
                raise ValueError("want HOST:PORT=HOST:PORT, several with commas")
        return value

    @model_validator(mode="after")
    def _both_keys(self) -> Settings:
        if (self.s3_access_key is None) != (self.s3_secret_key is None):
            raise ValueError("want s3_access_key and s3_secret_key both set, or neither")
        return self

    @property
    def mlflow_tracking_uri(self) -> str:
        """MLflow's tracking URI: as set, or a SQLite file in the store's folder.

        Raises:
            ConfigurationError: The store is remote, and `mlflow_uri` is not set.
        """
        if self.mlflow_uri:
            return self.mlflow_uri
        if "://" in self.store_uri:
            raise ConfigurationError(
                f"mlflow_uri: got none with the remote store {self.store_uri}, want MLflow's"
                " tracking URI",
                f"export {PREFIX}MLFLOW_URI=http://HOST:PORT",
            )
        return f"{_SQLITE}{self.store_uri}/mlflow.db"

    def s3_access(self) -> S3Access | None:
        """Return how S3 is reached, None if nothing is set and the AWS chain decides."""
        if not (self.s3_endpoint or self.s3_access_key or self.s3_region):
            return None
        return S3Access(
            self.s3_endpoint or S3Access.endpoint,
            self.s3_access_key,
            self.s3_secret_key.get_secret_value() if self.s3_secret_key else None,
            self.s3_region,
            self.s3_secure,
        )

    def environment(self) -> dict[str, str]:
        """Return the variables with which a child process has these settings in any directory.

        They hold the secret: hand them to the child's environment and to nothing else.
        """
        variables = {CONFIG_VARIABLE: ""}
        for name, value in self:
            if value is not None and not name.startswith(_OF_THE_CLUSTER):
                text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                variables[PREFIX + name.upper()] = text
        return variables


def load_settings() -> Settings:
    """Read the settings as they are now.

    Raises:
        ConfigurationError: A name is unknown, a value is wrong, or the file cannot be read.
    """
    _check_environment()
    path = _config_path()
    given = _read(path) if path else {}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise ConfigurationError(_explain(error)) from None  # the cause would show the secret


def open_default_store(settings: Settings | None = None) -> Store:
    """Open the store that the settings name."""
    settings = settings or load_settings()
    return open_store(settings.store_uri, settings.s3_access())


def open_artifact_store(
    uri: str, *, endpoint: str | None = None, settings: Settings | None = None
) -> Store:
    """Open the bucket that an artifact of a run lies in, wherever the run was.

    Args:
        uri: `minio://bucket/…`, `s3://bucket/…`, `gs://bucket/…`, or one of the default store.
        endpoint: `host:port` of the server as the run's own record names it, if it does.

    Returns:
        A store that knows the key of the URI by `key_of`.
    """
    settings = settings or load_settings()
    if uri.startswith(f"{settings.store_uri}/"):
        return open_default_store(settings)
    scheme, separator, rest = uri.partition("://")
    bucket = f"{scheme}://{rest.partition('/')[0]}"
    if not separator or scheme not in ("s3", "minio"):
        return open_store(bucket if separator else uri)
    return open_store(bucket, _artifact_access(scheme, endpoint, settings))


def _artifact_access(scheme: str, endpoint: str | None, settings: Settings) -> S3Access | None:
    known = endpoint or (_KFP_STORE if scheme == "minio" else S3Access.endpoint)
    pairs = (settings.s3_endpoint_rewrite or "").split(",")
    here = dict(pair.strip().split("=", 1) for pair in pairs if pair.strip()).get(known)
    access = settings.s3_access()
    if here:
        address = here.removeprefix("http://").removeprefix("https://")
        is_secure = here.startswith("https://")
        return replace(access or S3Access(), endpoint=address, secure=is_secure)
    if settings.s3_endpoint or (scheme == "s3" and not endpoint):
        return access
    return replace(access or S3Access(), endpoint=known, secure=scheme == "s3")


def _config_path() -> Path | None:
    named = os.environ.get(CONFIG_VARIABLE)
    if named is None:
        path = Path.cwd() / _FILE
        return path if path.is_file() else None
    return Path(named).absolute() if named else None


def _read(path: Path) -> dict[str, Any]:
    try:
        given = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: got {error}, want a readable TOML file") from error
    for key in given:
        if key not in Settings.model_fields:
            raise _unknown(str(path), key, list(Settings.model_fields))
    for key in _PATHS:
        if isinstance(given.get(key), str):
            given[key] = _absolute(given[key], path.parent)
    return given


def _check_environment() -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields] + sorted(_OTHER_VARIABLES)
    for name in os.environ:
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise _unknown("environment", name, known)


def _unknown(subject: str, name: str, known: list[str]) -> ConfigurationError:
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    hint = f" Did you mean {close[0]}?" if close else ""
    return ConfigurationError(f"{subject}: got {name}, want one of {', '.join(known)}.{hint}")


def _absolute(uri: str, base: Path) -> str:
    if uri.startswith(_SQLITE):
        return _SQLITE + os.path.normpath(base / uri.removeprefix(_SQLITE))
    if "://" in uri:
        return uri.rstrip("/")
    return os.path.normpath(base / Path(uri).expanduser())


def _explain(error: ValidationError) -> str:
    found = error.errors(include_input=False, include_url=False)
    return "; ".join(
        f"{'.'.join(map(str, item['loc'])) or 'settings'}: got a wrong value, {item['msg']}"
        for item in found
    )
