"""``toros rehearse``: what can go wrong with devices, tried in daylight."""

from __future__ import annotations

import ipaddress
import queue
import signal
from pathlib import Path

import click
import yaml

from toros.cli.output import complain, exits
from toros.errors import ConfigurationError
from toros.simulation.device_faults import KINDS, Fault, parse_faults
from toros.simulation.exchange import Call
from toros.simulation.fault_proxy import FaultProxy, split_address


@click.group(name="rehearse")
def rehearse_group() -> None:
    """Try in daylight what can go wrong at night."""


@rehearse_group.command()
@click.option("--listen", default="127.0.0.1:11112", show_default=True, help="Where drivers call.")
@click.option("--to", "server", default="127.0.0.1:11111", show_default=True,
              help="The Alpaca server that everything is forwarded to.")  # fmt: skip
@click.option(
    "--faults",
    "faults_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A YAML list of faults to begin with.",
)
@click.option("--all", "everything", is_flag=True, help="Show questions that pass untouched, too.")
@click.option("--json", "as_json", is_flag=True, help="Write a line of JSON for each call.")
@exits
def proxy(
    listen: str, server: str, faults_file: Path | None, everything: bool, as_json: bool
) -> None:
    """Stand between drivers and an Alpaca server, and inject faults.

    Everything is forwarded until a fault is set, in a file or at run time at the proxy's own
    address, /faults. What it does to which call is shown line by line. Ctrl-C ends it.
    """
    faults = [] if faults_file is None else read_faults(faults_file)
    events: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def observe(call: Call) -> None:
        line = _to_line(call, everything=everything, as_json=as_json)
        if line is not None:
            events.put(line)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: events.put(None))
    with FaultProxy(server, listen, observe) as running:
        for fault in faults:
            running.add(fault)
        complain(f"{running.address} forwards to {server}; faults in force: {len(faults)}")
        complain(f"Faults are set at http://{running.address}/faults; Ctrl-C ends it")
        if not _is_loopback(running.address):
            complain("warning: whoever reaches this address moves the devices and sets faults")
        while (line := events.get()) is not None:
            click.echo(line)
    while not events.empty():  # what has ended with the proxy
        click.echo(events.get())


def read_faults(path: Path) -> list[Fault]:
    """Read a file of faults.

    Raises
    ------
    ConfigurationError
        Says for each wrong option what would be right.
    """
    try:
        return parse_faults(yaml.safe_load(path.read_text("utf-8")))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except (ValueError, yaml.YAMLError) as error:
        raise ConfigurationError(f"{path} is no YAML: {error}") from error
    except ConfigurationError as error:
        lines = error.message.splitlines()
        raise ConfigurationError("\n".join(f"{path}: {line}" for line in lines)) from None


def _to_line(call: Call, *, everything: bool, as_json: bool) -> str | None:
    """Describe a call; None when there is nothing to say of it now."""
    if as_json:
        return None if call.ended_s is None else call.to_json()
    if call.ended_s is None and not (call.fault and KINDS[call.fault].lasting):
        return None
    passed = call.fault is None and call.verb == "GET" and not call.outcome
    if passed and not everything:
        return None
    words = [f"{call.arrived:%H:%M:%S}.{call.arrived.microsecond // 1000:03d}"]
    words.append(f"{call.verb} {call.path}")
    hidden = ("clientid", "clienttransactionid")
    words += [f"{k}={v}" for k, v in call.parameters.items() if k.lower() not in hidden]
    return " ".join([*words, "->", _outcome(call)])


def _outcome(call: Call) -> str:
    parts = [] if call.fault is None else [call.fault]
    if call.ended_s is None:
        return f"{call.fault} ..."
    parts.append("carried out" if call.forwarded_s is not None else "not carried out")
    parts.append("no answer" if call.status is None else f"HTTP {call.status}")
    if call.error_number:
        parts.append(f"error {call.error_number:#x}")
    parts.append(f"{call.sent_bytes} bytes in {call.ended_s - call.arrived_s:.3f} s")
    return ", ".join(parts + ([call.outcome] if call.outcome else []))


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(split_address(address)[0]).is_loopback
