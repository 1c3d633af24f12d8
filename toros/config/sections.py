"""The settings as a whole: every section of ``toros.conf.yaml``.

The YAML names are the documents'; numbers carry their unit in their name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Self

from pydantic import BaseModel, Field, PrivateAttr, model_validator

from toros.config.alerts import Lvcgcn, Visibility
from toros.config.enclosure import Dome
from toros.config.kinds import (
    HTTP,
    AbsolutePath,
    FrozenDict,
    Kind,
    Listed,
    Mail,
    Section,
    Text,
    number,
)
from toros.config.network import (
    Database,
    DomeAddress,
    Email,
    FrontDesk,
    Logging,
    LvcgcnAddress,
    PreprocessorAddress,
    ServiceAddress,
    TelescopeAddress,
)
from toros.config.observing import Telescope
from toros.config.reduction import Preprocessor, default_folders
from toros.config.rehearsal import Rehearsal
from toros.config.shape import fields_of, is_list, kind_of, model_of, plain, unit_of, where

SERVICES = ("preprocessor", "telescope", "dome", "lvcgcn")
"""The daemons, by the names that commands, requests and log files use."""

REQUIRED = "(required)"
"""What `describe` gives as the default of a setting that has none."""

_LONGITUDE = number(-180, 360, "degrees")
_LATITUDE = number(-90, 90, "degrees")
_HEIGHT = number(-500, 10000, "metres")
_EAST = "Geodetic longitude (WGS 84), positive to the east."
_NORTH = "Geodetic latitude (WGS 84), positive to the north."
_UP = "Height above the ellipsoid (WGS 84)."


class Observatory(Section):
    """The observatory of this file."""

    name: Text | None = Field(None, alias="Name", description="Name of the observatory.")
    longitude_deg: Annotated[float | None, *_LONGITUDE] = Field(
        None, alias="Longitude (deg)", description=_EAST
    )
    latitude_deg: Annotated[float | None, *_LATITUDE] = Field(
        None, alias="Latitude (deg)", description=_NORTH
    )
    height_m: Annotated[float | None, *_HEIGHT] = Field(None, alias="Height (m)", description=_UP)


class OtherObservatory(Section):
    """An observatory that targets are relayed to."""

    name: Text = Field(alias="Name", description="Name of the observatory.")
    longitude_deg: Annotated[float, *_LONGITUDE] = Field(alias="Longitude (deg)", description=_EAST)
    latitude_deg: Annotated[float, *_LATITUDE] = Field(alias="Latitude (deg)", description=_NORTH)
    height_m: Annotated[float, *_HEIGHT] = Field(alias="Height (m)", description=_UP)
    telescope_http: HTTP = Field(
        alias="Telescope Service HTTP", description="Full address of its telescope's daemon."
    )
    visibility: Visibility = Field(
        default_factory=Visibility,
        alias="Visibility",
        description="When a target can be observed there, and the field of view.",
    )


class Origin(NamedTuple):
    """Where settings come from."""

    source: Path = Path("(defaults)")
    sha256: str = hashlib.sha256(b"").hexdigest()
    warnings: tuple[str, ...] = ()
    lines: FrozenDict[int] = FrozenDict()


class Settings(Section):
    """All settings of one network node, loaded once and never changed.

    Two are equal when all their values are, wherever they come from.
    """

    observatory: Observatory = Field(
        default_factory=Observatory, alias="Observatory", description="The observatory."
    )
    other_observatories: Annotated[
        tuple[OtherObservatory, ...], Listed, Kind("a list of observatories")
    ] = Field(
        (),
        alias="Other Observatories",
        description="Observatories that targets are relayed to.",
    )
    preprocessor_service: PreprocessorAddress = Field(
        default_factory=PreprocessorAddress,
        alias="Preprocessor Service Address",
        description="Where the preprocessor listens.",
    )
    telescope_service: TelescopeAddress = Field(
        default_factory=TelescopeAddress,
        alias="Telescope Service Address",
        description="Where the telescope's daemon listens.",
    )
    dome_service: DomeAddress = Field(
        default_factory=DomeAddress,
        alias="Dome Service Address",
        description="Where the dome's daemon listens.",
    )
    lvcgcn_service: LvcgcnAddress = Field(
        default_factory=LvcgcnAddress,
        alias="Lvcgcn Service Address",
        description="Where the alert robot listens.",
    )
    logging: Logging = Field(default_factory=Logging, alias="Logging", description="Logs.")
    database: Database = Field(default_factory=Database, alias="Database", description="Database.")
    state_folder: AbsolutePath = Field(
        Path("/var/lib/toros"),
        alias="State Folder",
        description="Folder of the file repository, the lock files and the SQLite database; "
        "on a local disk.",
    )
    admin_emails: Annotated[tuple[Mail, ...], Listed, Kind("a list of e-mail addresses")] = Field(
        (), alias="Admin Emails", description="Addresses that errors are mailed to."
    )
    email: Email = Field(
        default_factory=Email, alias="Email Configuration", description="How mail is sent."
    )
    front_desk: FrontDesk = Field(
        default_factory=FrontDesk, alias="Front Desk", description="Who may send orders."
    )
    preprocessor: Preprocessor = Field(
        default_factory=Preprocessor, alias="Preprocessor", description="The preprocessor's work."
    )
    dome: Dome = Field(
        default_factory=Dome, alias="Dome", description="The dome, and when it may be open."
    )
    telescope: Telescope = Field(
        default_factory=Telescope, alias="Telescope", description="The telescope and its nights."
    )
    lvcgcn: Lvcgcn = Field(
        default_factory=Lvcgcn, alias="Lvcgcn", description="The alert robot's work."
    )
    rehearsal: Rehearsal = Field(
        default_factory=Rehearsal,
        alias="Rehearsal",
        description="A simulated observatory in a simulated time.",
    )

    _origin: Origin = PrivateAttr(default_factory=Origin)

    @model_validator(mode="after")
    def _fill(self) -> Self:
        """Fill in the defaults that follow from other sections, in copies of the sections."""
        scheme = "https" if self.front_desk.tls_certificate else "http"
        for service in SERVICES:
            address = self.service(service).model_copy()
            address._derive("http", address.default_http(scheme))
            object.__setattr__(self, f"{service}_service", address)
        database = self.database.model_copy()
        database._derive("url", f"sqlite:///{self.state_folder / 'toros.db'}")
        object.__setattr__(self, "database", database)
        sources = self.preprocessor.sources.model_copy()
        sources._derive("folders", default_folders(self.state_folder))
        preprocessor = self.preprocessor.model_copy()
        object.__setattr__(preprocessor, "sources", sources)
        object.__setattr__(self, "preprocessor", preprocessor)
        telescope = self.telescope.model_copy()
        telescope._derive("exposures_folder", self.state_folder / "incoming")
        object.__setattr__(self, "telescope", telescope)
        galaxies = self.lvcgcn.galaxies.model_copy()
        galaxies._derive("catalogue", self.state_folder / "catalogue")
        lvcgcn = self.lvcgcn.model_copy()
        object.__setattr__(lvcgcn, "galaxies", galaxies)
        object.__setattr__(self, "lvcgcn", lvcgcn)
        rehearsal = self.rehearsal.model_copy()
        rehearsal._derive("folder", self.state_folder / "simulation")
        object.__setattr__(self, "rehearsal", rehearsal)
        return self

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Settings) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(tuple(self.__dict__.values()))

    @property
    def source(self) -> Path:
        """The file that was loaded."""
        return self._origin.source

    @property
    def sha256(self) -> str:
        """The SHA-256 of the file's bytes, in hexadecimal digits."""
        return self._origin.sha256

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was noticed at loading and does not keep the daemon from starting."""
        return self._origin.warnings

    def service(self, name: str) -> ServiceAddress:
        """Return the address of a daemon.

        Parameters
        ----------
        name : str
            One of `SERVICES`.
        """
        _known(name)
        address: ServiceAddress = getattr(self, f"{name}_service")
        return address

    def log_file(self, service: str) -> Path:
        """Return the log file of a daemon: its name put into that of Logging / File.

        Parameters
        ----------
        service : str
            One of `SERVICES`.
        """
        _known(service)
        file = self.logging.file
        return file.with_name(f"{file.stem}-{service}{file.suffix}")

    def database_url(self) -> str:
        """Return the database's url as SQLAlchemy takes it, with driver and credentials.

        It holds the password: never log it.
        """
        from sqlalchemy.engine import make_url

        url = make_url(self.database.url)
        if url.get_backend_name() == "postgresql":
            password = self.database.password
            url = url.set(
                drivername="postgresql+psycopg",
                username=self.database.user or url.username,
                password=password.get_secret_value() if password else url.password,
            )
        return url.render_as_string(hide_password=False)

    def where(self, *place: str | int) -> str:
        """Say where in the file a setting stands: ``FILE:LINE: Section / Key``.

        Parameters
        ----------
        *place : str or int
            The YAML keys from the top, and positions in lists from 0.
        """
        return where(self.source, self._origin.lines, place)


def _known(service: str) -> None:
    if service not in SERVICES:
        raise ValueError(f"no service {service!r}; expected one of {', '.join(SERVICES)}")


class Description(NamedTuple):
    """A setting, for the reference."""

    section: str
    key: str
    type: str
    default: Any
    unit: str
    description: str


def describe() -> list[Description]:
    """List all settings, in the order of the file.

    Returns
    -------
    list of Description
        ``section`` is "" for a setting at the top, and "Front Desk / Users"
        for the keys of a list's items. ``default`` is plain data, or
        `REQUIRED`.
    """
    return _describe(Settings, (), Settings())


def _describe(model: type[BaseModel], above: tuple[str, ...], values: object) -> list[Description]:
    described: list[Description] = []
    for (key, field), name in zip(fields_of(model).items(), model.model_fields, strict=True):
        kind = kind_of(field.annotation, field.metadata)
        inner = model_of(field.annotation, field.metadata)
        # The items of a list have no values yet: their defaults are the declared ones.
        default = getattr(values, name, REQUIRED if field.is_required() else field.default)
        section = inner is not None and kind is None and not is_list(field.annotation)
        if kind is not None:
            described.append(
                Description(
                    " / ".join(above),
                    key,
                    kind.text,
                    default if default == REQUIRED else plain(default, kind),
                    unit_of(key),
                    field.description or "",
                )
            )
        if inner is not None:
            described += _describe(inner, (*above, key), default if section else None)
    return described
