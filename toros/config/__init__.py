"""The configuration: one YAML file for each network node, loaded once and never changed.

>>> settings = load(Path("/etc/toros/toros.conf.yaml"), "preprocessor")  # doctest: +SKIP
>>> settings.preprocessor_service.http  # doctest: +SKIP
'http://127.0.0.1:8080'
"""

from toros.config.alerts import Folder, Kafka, Lvcgcn, Visibility, Vtp, Webhook
from toros.config.enclosure import Dome, Weather, WeatherLimit, WeatherSource
from toros.config.hardware import Device
from toros.config.kinds import FrozenDict, Section
from toros.config.load import check, load
from toros.config.network import (
    Database,
    Email,
    FrontDesk,
    Logging,
    ServiceAddress,
    User,
)
from toros.config.observing import Telescope
from toros.config.reduction import HeaderRule, Preprocessor, Sources, StepChoice
from toros.config.sections import (
    SERVICES,
    Description,
    Observatory,
    OtherObservatory,
    Settings,
    describe,
)

__all__ = [
    "SERVICES",
    "Database",
    "Description",
    "Device",
    "Dome",
    "Email",
    "Folder",
    "FrontDesk",
    "FrozenDict",
    "HeaderRule",
    "Kafka",
    "Logging",
    "Lvcgcn",
    "Observatory",
    "OtherObservatory",
    "Preprocessor",
    "Section",
    "ServiceAddress",
    "Settings",
    "Sources",
    "StepChoice",
    "Telescope",
    "User",
    "Visibility",
    "Vtp",
    "Weather",
    "WeatherLimit",
    "WeatherSource",
    "Webhook",
    "check",
    "describe",
    "load",
]
