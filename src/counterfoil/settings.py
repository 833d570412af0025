"""Every setting, in one table: its name, environment variable, default and reason. Checked as a whole at start.

The only module that reads the environment.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from counterfoil.errors import InvalidInput, did_you_mean

PREFIX = "COUNTERFOIL_"


@dataclass(frozen=True, slots=True)
class Row:
    """One setting's description. kind: str, int, float or bool; low and high bound numbers. Projects have theirs in
    `services.project_settings`, in the same words."""

    name: str
    kind: type
    default: Any
    reason: str
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] | None = None

    @property
    def variable(self) -> str:
        """The environment variable."""
        return PREFIX + self.name.upper()


TABLE: tuple[Row, ...] = (
    Row("home", str, "counterfoil-home", "Folder of the database, files and keys when nothing else is named"),
    Row("host", str, "127.0.0.1", "Address to listen on; loopback until you decide otherwise"),
    Row("port", int, 8080, "Port to listen on", 0, 65535),
    Row("public_url", str, "", "How clients reach this server, for links in answers; empty: as they called it"),
    Row("database", str, "", "sqlite:///PATH or postgresql://…; empty: HOME/counterfoil.db"),
    Row(
        "statement_timeout_s",
        float,
        60.0,
        "PostgreSQL's bound on one statement that writes, its wait for locks included; 0: none. Far above any of ours",
        0,
        86400,
    ),
    Row("files", str, "", "file:///PATH or s3://bucket/prefix; empty: HOME/files"),
    Row("s3_endpoint", str, "", "Address of an S3-compatible server; empty: AWS"),
    Row("s3_region", str, "us-east-1", "Region used to sign requests"),
    Row("s3_access_key", str, "", "Access key; empty: AWS's own ways of finding one"),
    Row("s3_secret_key", str, "", "Secret key"),
    Row("s3_allow_http", bool, False, "Permit plain HTTP to the endpoint, for a server on your own network"),
    Row("s3_link_endpoint", str, "", "The store's address for those who follow links; empty: s3_endpoint"),
    Row("s3_ca_file", str, "", "Certificates (PEM) to trust besides the system's"),
    Row("s3_part_mb", int, 16, "Size of an upload's parts; a file has at most 10,000, so 16 allow 156 GiB", 5, 5120),
    Row(
        "download",
        str,
        "proxy",
        "How files reach clients: through this server, or a redirect to the store's signed link",
        allowed=("proxy", "redirect"),
    ),
    Row("worker_threads", int, 2, "Exports run at once by this process; 0 serves HTTP alone", 0, 64),
    Row("task_threads", int, 2, "Threads that encode one export's tasks; about one a core", 1, 64),
    Row("lease_ttl_s", float, 15.0, "How long a silent worker keeps an export; renewed at a third of it", 1, 3600),
    Row("poll_s", float, 1.0, "How often an idle worker looks for work another process queued", 0.05, 60),
    Row("tries_max", int, 5, "How often an export is tried before it fails with worker_lost or its error", 1, 100),
    Row("retention_days", int, 30, "How long an export's file is kept; then the export is EXPIRED", 1, 3650),
    Row("rollback_days", int, 92, "How long a redemption can be rolled back; the vendor allows three months", 1, 36500),
    Row("record_retention_days", int, 365, "How long the record of an expired export is kept", 1, 36500),
    Row(
        "split_files_max",
        int,
        1000,
        "Files that one export may be cut into; every look at it lists them all with a link each",
        1,
        65535,
    ),
    Row("download_ttl_s", int, 900, "Life of a download link; each look at the export gives a fresh one", 10, 86400),
    Row(
        "rate_limit_per_min",
        int,
        0,
        "Requests a key may make in a minute; 0: no limit. The vendor's plans: 100, 2000",
        0,
        10_000_000,
    ),
    Row("altcraft_batch_rows", int, 1_000_000, "Transactions in one file of Altcraft's export", 1, 100_000_000),
    Row(
        "altcraft_http_status",
        str,
        "vendor",
        "HTTP status of Altcraft's errors: 200 for what the call itself decides, or the error's own code",
        allowed=("vendor", "mirrored"),
    ),
    Row("duties_every_s", float, 30.0, "How often background duties run (sweeping, expiry, sealing)", 0.1, 86400),
    Row(
        "executor",
        str,
        "local",
        "Where export tasks run unless the project or the request says otherwise",
        allowed=("local", "spark"),
    ),
    Row("spark_remote", str, "", "Where Spark Connect listens, such as sc://host:15002; empty: no spark executor"),
    Row(
        "spark_from_rows",
        int,
        0,
        "From so many rows on, an export for which nobody named an executor runs on Spark; 0: none does",
        0,
        10**15,
    ),
    Row("log_level", str, "info", "How much is logged", allowed=("debug", "info", "warning", "error")),
    Row("log_format", str, "text", "Lines for people or JSON for machines", allowed=("text", "json")),
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings in force; see TABLE for the meaning of each. Secrets are kept out of repr."""

    home: str
    host: str
    port: int
    public_url: str
    database: str
    statement_timeout_s: float
    files: str
    s3_endpoint: str
    s3_region: str
    s3_access_key: str
    s3_secret_key: str
    s3_allow_http: bool
    s3_link_endpoint: str
    s3_ca_file: str
    s3_part_mb: int
    download: str
    worker_threads: int
    task_threads: int
    lease_ttl_s: float
    poll_s: float
    tries_max: int
    retention_days: int
    rollback_days: int
    record_retention_days: int
    split_files_max: int
    download_ttl_s: int
    rate_limit_per_min: int
    altcraft_batch_rows: int
    altcraft_http_status: str
    duties_every_s: float
    executor: str
    spark_remote: str
    spark_from_rows: int
    log_level: str
    log_format: str
    aws_environment: Mapping[str, str] = field(default_factory=dict[str, str])
    """Amazon's own variables (AWS_…), which say where keys can be borrowed when none are set."""

    def __repr__(self) -> str:
        shown = (f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.name not in _SECRET)
        return f"Settings({', '.join(shown)})"

    @property
    def home_path(self) -> Path:
        """The home folder, absolute."""
        return Path(self.home).expanduser().resolve()

    @property
    def database_url(self) -> str:
        """The database, the default filled in."""
        return self.database or f"sqlite:///{self.home_path / 'counterfoil.db'}"

    @property
    def files_url(self) -> str:
        """The file store, the default filled in."""
        return self.files or f"file://{self.home_path / 'files'}"


_WORDS = {"1": True, "true": True, "yes": True, "on": True, "0": False, "false": False, "no": False, "off": False}
_SECRET = frozenset({"s3_secret_key", "s3_access_key", "database", "spark_remote", "aws_environment"})


def load(given: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settings from what was given (command line; None entries are not given), then the environment, then defaults.

    Raises InvalidInput that names the setting, the value and what is allowed.
    """
    environment = os.environ if environment is None else environment
    values: dict[str, Any] = {}
    for row in TABLE:
        value = (given or {}).get(row.name)
        if value is None:
            value = environment.get(row.variable)
        values[row.name] = row.default if value is None else checked(row, value, row.variable)
    settings = Settings(**values, aws_environment=aws_environment(environment))
    if (settings.executor == "spark" or settings.spark_from_rows) and not settings.spark_remote:
        raise InvalidInput("invalid_setting", "The spark executor needs spark_remote", field="spark_remote", value="")
    if settings.record_retention_days < settings.retention_days:
        raise InvalidInput(
            "invalid_setting",
            "record_retention_days may not be below retention_days",
            field="record_retention_days",
            value=settings.record_retention_days,
        )
    return settings


def checked(row: Row, value: Any, named: str) -> Any:
    """The value as its row demands. named: what the message calls it. Raises InvalidInput with what is allowed."""
    parsed: Any = value
    if row.kind is bool and isinstance(value, str):
        parsed = _WORDS.get(value.lower())
        if parsed is None:
            raise _refused(row, value, named, tuple(_WORDS))
    elif row.kind in (int, float):
        try:
            parsed = row.kind(value)
        except (TypeError, ValueError):
            raise _refused(row, value, named, ()) from None
        if (row.low is not None and parsed < row.low) or (row.high is not None and parsed > row.high):
            raise _refused(row, value, named, (f"{row.low} to {row.high}",))
    if row.allowed is not None and parsed not in row.allowed:
        raise _refused(row, value, named, row.allowed)
    return parsed


def _refused(row: Row, value: Any, named: str, allowed: tuple[str, ...]) -> InvalidInput:
    shown = "***" if row.name in _SECRET else value
    hint = f"; allowed: {', '.join(allowed)}" if allowed else f"; it must be {row.kind.__name__}"
    return InvalidInput(
        "invalid_setting",
        f"{named}={shown} is not valid{hint}{did_you_mean(str(value), row.allowed or ())}",
        field=row.name,
        value=shown,
        allowed=allowed or None,
    )


def aws_environment(environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """Amazon's own variables of an environment (this process's when None)."""
    environment = os.environ if environment is None else environment
    return {name: value for name, value in environment.items() if name.startswith("AWS_")}


def variable(name: str) -> str | None:
    """An environment variable outside the table (probes for crash tests), or None."""
    return os.environ.get(PREFIX + name)
