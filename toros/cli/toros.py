"""``toros``: look at, check and prepare what the daemons work with."""

from __future__ import annotations

import click

import toros
from toros.cli.alert import alert_group
from toros.cli.catalog import catalog_group
from toros.cli.config import config_group
from toros.cli.database import database_group
from toros.cli.demo import demo
from toros.cli.demo_alert import demo_alert
from toros.cli.demo_night import demo_night
from toros.cli.devices import devices_group
from toros.cli.inspect import inspect
from toros.cli.plan import explain, plan
from toros.cli.rehearse import rehearse_group
from toros.cli.status import status


@click.group()
@click.version_option(toros.__version__)
def main() -> None:
    """Look at, check and prepare what the TOROS daemons work with."""


for command in (
    alert_group,
    catalog_group,
    config_group,
    database_group,
    demo,
    demo_alert,
    demo_night,
    devices_group,
    explain,
    inspect,
    plan,
    rehearse_group,
    status,
):
    main.add_command(command)


if __name__ == "__main__":
    main()
