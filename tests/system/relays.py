"""The network between daemons, as something that can be cut, silenced, slowed and made to drop.

The relays are ``toros rehearse proxy``, a process each: killed it is a cut cable, stopped a
network that swallows everything.
"""

from __future__ import annotations

from types import TracebackType
from typing import Self

import yaml

from tests.system.night import Observatory
from tests.system.observatory import FaultProxy
from toros.cli.rehearsal import merge

BEHIND = ("dome", "preprocessor")


class Relayed:
    """An observatory whose telescope reaches the other daemons by relays only.

    Parameters
    ----------
    site : Observatory
        Of which nothing is started yet.
    """

    def __init__(self, site: Observatory) -> None:
        self.site = site
        self.dome, self.preprocessor = (
            FaultProxy(site.folder / f"relay-{name}", site.made.url(name)[7:]) for name in BEHIND
        )

    def start(self) -> None:
        """Start the daemons, and wait until they answer."""
        settings = yaml.safe_load(self.site.made.configuration.read_text("utf-8"))
        for name, relay in zip(BEHIND, (self.dome, self.preprocessor), strict=True):
            port = int(relay.address.rpartition(":")[2])
            merge(settings, {f"{name.capitalize()} Service Address": {"Port": port}})
            self.site.launch(name, self.site.made.configuration)
        configuration = self.site.folder / "telescope.conf.yaml"
        configuration.write_text(yaml.safe_dump(settings), "utf-8")
        self.site.start("telescope", configuration=configuration)
        for name in BEHIND:
            self.site.wait_ready(name)

    def __enter__(self) -> Self:
        self.dome.start()
        self.preprocessor.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.dome.kill()
        self.preprocessor.kill()
