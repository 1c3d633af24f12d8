"""Settings of the alert robot: where notices come from, what is made of them, who is told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from toros.config.kinds import (
    AbsolutePath,
    DataAddress,
    Flag,
    HostName,
    HostPort,
    Kind,
    Listed,
    Mail,
    Secret,
    Section,
    Text,
    duplicates,
    expected,
    number,
    whole,
)
from toros.config.observing import Observability

_HOST_PORTS = "a list of hosts with ports, such as - kafka.example.org:9092"
_TOPICS = "a list of topics, such as - igwn.gwalert; a regular expression begins with ^"
_PREFIX = "the beginning of an address, such as https://gracedb.ligo.org/ or file:///data/maps/"
_WEIGHTS = "one of auto, stellar_mass, luminosity_k, luminosity_b, none"
_MODES = "one of ignore, record, answer"


def _prefix(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    # Without the slash after the host, https://good.org would let https://good.org.evil.org pass.
    if scheme not in ("http", "https", "file") or not separator or "/" not in rest:
        raise expected(_PREFIX)
    if not value.isprintable() or " " in value or "@" in rest or ".." in rest:
        raise expected(_PREFIX)
    return value


AddressPrefix = Annotated[str, AfterValidator(_prefix), Kind(_PREFIX)]


class Kafka(Section):
    """Notices by Kafka, as GCN sends them."""

    domain: HostName | None = Field(
        "gcn.nasa.gov", alias="Domain", description="GCN's domain, where Servers is empty."
    )
    servers: Annotated[tuple[HostPort, ...], Listed, Kind(_HOST_PORTS)] = Field(
        (), alias="Servers", description="Another broker's servers, in plain text without a login."
    )
    client_id: Text | None = Field(
        None,
        alias="Client Id",
        description="Of GCN's credentials (gcn.nasa.gov/quickstart); null without Servers: no "
        "Kafka.",
    )
    client_secret: Secret | None = Field(
        None,
        alias="Client Secret",
        description="Of GCN's credentials; better in TOROS_KAFKA_SECRET or the systemd credential "
        "kafka-secret.",
    )
    group: Text = Field(
        "toros",
        alias="Group",
        description="Name under which the broker remembers what was taken; another one for each "
        "robot with the same credentials.",
    )
    topics: Annotated[tuple[Text, ...], Listed, Kind(_TOPICS)] = Field(
        ("igwn.gwalert",), alias="Topics", description="What is subscribed to."
    )
    heartbeat: Text = Field(
        "gcn.heartbeat",
        alias="Heartbeat",
        description="Topic with a message about each second; none where there is none.",
    )
    silence_s: Annotated[float, *number(1, 86400)] = Field(
        60.0,
        alias="Silence (s)",
        description="Without a heartbeat (or, where there is none, without a connection) for so "
        "long the source is taken for dead, which is an error.",
    )

    @property
    def heartbeat_topic(self) -> str | None:
        """The topic with a message about each second; None where there is none."""
        return None if self.heartbeat == "none" else self.heartbeat

    @property
    def is_used(self) -> bool:
        """Whether there is anything to connect to."""
        return bool(self.servers or self.client_id)

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if self.is_used and not self.topics:
            raise expected("Topics: at least one, such as igwn.gwalert")
        if self.is_used and not self.servers and self.domain is None:
            raise expected("Domain or Servers")
        return self


class Vtp(Section):
    """Notices by the VOEvent Transport Protocol, from any broker."""

    name: Text = Field(alias="Name", description="What messages call it.")
    address: HostPort = Field(alias="Address", description="The broker's host and port.")
    silence_s: Annotated[float, *number(1, 86400)] = Field(
        180.0,
        alias="Silence (s)",
        description="Without iamalive for so long the source is taken for dead, which is an error.",
    )


class Folder(Section):
    """Notices as files that appear in a folder, and are taken out of it."""

    name: Text = Field(alias="Name", description="What messages call it.")
    path: AbsolutePath = Field(alias="Path", description="The folder.")


class SkyMaps(Section):
    """Where sky maps may come from, and how large they may be."""

    addresses: Annotated[
        tuple[AddressPrefix, ...], Listed, Kind("a list of beginnings of addresses")
    ] = Field(
        (
            "https://gracedb.ligo.org/",
            "https://heasarc.gsfc.nasa.gov/",
            "https://gcn.gsfc.nasa.gov/",
            "https://roc.icecube.wisc.edu/",
            "https://emfollow.docs.ligo.org/",
        ),
        alias="Addresses",
        description="Maps that a notice names by URL are fetched only from addresses that begin "
        "so.",
    )
    size_limit_mb: Annotated[float, *number(0.01, 1000)] = Field(
        50.0, alias="Size Limit (MB)", description="Largest map, as it is sent."
    )
    inflated_limit_mb: Annotated[float, *number(0.01, 4000)] = Field(
        600.0, alias="Inflated Limit (MB)", description="Largest map once unpacked."
    )
    pixel_limit_millions: Annotated[float, *number(0.0001, 1000)] = Field(
        52.0, alias="Pixel Limit (millions)", description="Most pixels of a map."
    )
    timeout_s: Annotated[float, *number(0.1, 3600)] = Field(
        30.0, alias="Timeout (s)", description="To fetch a map, and to read it."
    )


class Galaxies(Section):
    """Which galaxies may be hosts, and how they are weighted."""

    catalogue: AbsolutePath | None = Field(
        None,
        alias="Catalogue",
        description="Folder that toros catalog build made; by default catalogue in the State "
        "Folder, or the packaged catalogue of nearby galaxies while that is not there.",
    )
    weight: Annotated[
        Literal["auto", "stellar_mass", "luminosity_k", "luminosity_b", "none"], Kind(_WEIGHTS)
    ] = Field(
        "auto",
        alias="Weight",
        description="What a galaxy's probability is multiplied by; auto: the first that the "
        "catalogue has.",
    )
    credible_level: Annotated[float, *number(0.01, 0.999)] = Field(
        0.9, alias="Credible Level", description="Galaxies in this credible region are ranked."
    )
    distance_max_mpc: Annotated[float | None, *number(0.1, 1e5)] = Field(
        None, alias="Distance Limit (Mpc)", description="Farther ones are left out; null for none."
    )
    apparent_magnitude_max: Annotated[float | None, *number(-5, 40)] = Field(
        None,
        alias="Apparent Magnitude Limit",
        description="Fainter ones (in B) are left out; null for none.",
    )
    absolute_magnitude_max: Annotated[float | None, *number(-35, 0)] = Field(
        None,
        alias="Absolute Magnitude Limit",
        description="Fainter ones (in B) are left out; null for none.",
    )


class Visibility(Observability):
    """When a target can be observed from an observatory, and how much of the sky one sees there."""

    field_width_deg: Annotated[float, *number(0.01, 30)] = Field(
        0.5, alias="Field Width (deg)", description="Of the instrument's field of view, east-west."
    )
    field_height_deg: Annotated[float, *number(0.01, 30)] = Field(
        0.5, alias="Field Height (deg)", description="Of the field of view, north-south."
    )


class Relay(Section):
    """What the observatories' telescopes are sent."""

    own_telescope: Flag = Field(
        default=True,
        alias="Own Telescope",
        description="Whether this file's telescope is sent the targets of its lists; they are made "
        "in any case.",
    )
    targets: Annotated[int, *whole(1, 1000)] = Field(
        50, alias="Targets", description="Length of a list."
    )
    age_limit_h: Annotated[float, *number(0.1, 1e6)] = Field(
        72.0,
        alias="Age Limit (h)",
        description="Notices issued longer ago are recorded, and nobody is told; 1000000 to "
        "rehearse with old ones.",
    )
    expiry_h: Annotated[float, *number(0.1, 720)] = Field(
        48.0, alias="Expiry (h)", description="How long after a list is made it is worth observing."
    )
    filter: Text | None = Field(None, alias="Filter", description="That targets are observed in.")
    exposure_time_s: Annotated[float, *number(0.001, 7200)] = Field(
        60.0, alias="Exposure Time (s)", description="Of each exposure."
    )
    exposures: Annotated[int, *whole(1, 1000)] = Field(
        3, alias="Exposures", description="Of each target."
    )


class Webhook(Section):
    """A web address that is told of each event, by an HTTP POST of JSON."""

    name: Text = Field(alias="Name", description="What messages call it.")
    address: DataAddress = Field(
        alias="Address", description="Where to; may hold a user and a password.", repr=False
    )
    form: Annotated[
        Literal["slack", "full", "assignments"], Kind("one of slack, full, assignments")
    ] = Field(
        "slack",
        alias="Form",
        description="slack: a text, as Slack and its like take it; full: the event and all "
        "lists; assignments: each observatory's galaxies with their likelihood, for a broker "
        "site.",
    )


class Tell(Section):
    """Who is told of an event, besides the telescopes."""

    mail: Annotated[tuple[Mail, ...], Listed, Kind("a list of e-mail addresses")] = Field(
        (), alias="Mail", description="Addresses; sent by Email Configuration."
    )
    webhooks: Annotated[tuple[Webhook, ...], Listed, Kind("a list of web addresses")] = Field(
        (), alias="Webhooks", description="Slack, other services, broker sites."
    )
    author: Text = Field(
        "org.example/toros",
        alias="VOEvent Author",
        description="Under which VOEvents of our own are written, without ivo://.",
    )


class Lvcgcn(Section):
    """The alert robot."""

    kafka: Kafka = Field(default_factory=Kafka, alias="Kafka", description="GCN by Kafka.")
    vtp: Annotated[tuple[Vtp, ...], Listed, Kind("a list of brokers")] = Field(
        (), alias="VTP", description="VOEvent brokers."
    )
    folders: Annotated[tuple[Folder, ...], Listed, Kind("a list of folders")] = Field(
        (), alias="Folders", description="Watched folders."
    )
    mock_alerts: Annotated[Literal["ignore", "record", "answer"], Kind(_MODES)] = Field(
        "record",
        alias="Mock Alerts",
        description="Tests and mock events: ignore archives them only; record ranks them and "
        "tells nobody; answer treats them as real.",
    )
    mock_days_kept: Annotated[float, *number(0.01, 36500)] = Field(
        7.0,
        alias="Mock Days Kept",
        description="Files of tests and mock events are removed after so many days; those of real "
        "events never.",
    )
    insignificant_alerts: Annotated[Literal["ignore", "record", "answer"], Kind(_MODES)] = Field(
        "record",
        alias="Insignificant Alerts",
        description="Gravitational-wave alerts that are not significant.",
    )
    other_alerts: Annotated[Literal["ignore", "record", "answer"], Kind(_MODES)] = Field(
        "answer",
        alias="Other Alerts",
        description="Events of other missions (gamma-ray bursts, neutrinos, X-ray transients).",
    )
    sky_maps: SkyMaps = Field(
        default_factory=SkyMaps, alias="Sky Maps", description="Limits of sky maps."
    )
    galaxies: Galaxies = Field(
        default_factory=Galaxies, alias="Galaxies", description="Potential host galaxies."
    )
    relay: Relay = Field(default_factory=Relay, alias="Relay", description="Target lists.")
    tell: Tell = Field(default_factory=Tell, alias="Tell", description="Mail and webhooks.")
    stop_timeout_s: Annotated[float, *number(0, 600)] = Field(
        15.0,
        alias="Stop Timeout (s)",
        description="Time to finish what is under way when the daemon is stopped; the rest is done "
        "after the next start.",
    )

    @model_validator(mode="after")
    def _names_once(self) -> Self:
        for key, names in (
            ("VTP", [each.name for each in self.vtp]),
            ("Folders", [each.name for each in self.folders]),
            ("Tell / Webhooks", [each.name for each in self.tell.webhooks]),
        ):
            for name in duplicates(names):
                raise expected(f"{key}: each Name once; {name!r} is there twice")
        return self
