"""One observatory and one proxy for all contract tests of a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.contract.rigs import AlpacaRig, Rig, SimulatedRig
from tests.system.observatory import AlpacaObservatory, FaultProxy


@pytest.fixture(scope="session")
def alpaca_observatory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AlpacaObservatory]:
    """Run the Alpaca simulators."""
    with AlpacaObservatory(tmp_path_factory.mktemp("alpaca")) as observatory:
        yield observatory


@pytest.fixture(scope="session")
def running_proxy(
    alpaca_observatory: AlpacaObservatory, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FaultProxy]:
    """Run the fault proxy in front of the simulators."""
    folder = tmp_path_factory.mktemp("proxy")
    with FaultProxy(folder, alpaca_observatory.address) as proxy:
        yield proxy


@pytest.fixture
def proxy(running_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """Return the proxy without faults, and without a past."""
    running_proxy.clear()
    running_proxy.forget_calls()
    yield running_proxy
    running_proxy.clear()


@pytest.fixture(scope="session")
def simulated_rig(tmp_path_factory: pytest.TempPathFactory) -> SimulatedRig:
    """Make the package's own simulated observatory."""
    return SimulatedRig(tmp_path_factory.mktemp("world"))


@pytest.fixture(params=["alpaca", "alpaca through the proxy", "simulated"])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Return an observatory, of each implementation in turn; another one is added here."""
    if request.param == "simulated":
        rig: Rig = request.getfixturevalue("simulated_rig")
        return rig
    observatory: AlpacaObservatory = request.getfixturevalue("alpaca_observatory")
    observatory.reset()
    proxied = request.param != "alpaca"
    return AlpacaRig(
        observatory, request.getfixturevalue("proxy").address if proxied else observatory.address
    )


@pytest.fixture
def faulty(alpaca_observatory: AlpacaObservatory, proxy: FaultProxy) -> AlpacaRig:
    """Return the Alpaca observatory behind the proxy, for tests that set faults."""
    alpaca_observatory.reset()
    return AlpacaRig(alpaca_observatory, proxy.address)


@pytest.fixture
def opened(rig: Rig) -> Callable[[str], Any]:
    """Open and connect a device."""

    def open_it(kind: str) -> Any:
        device = rig.open(kind)
        device.connect()
        return device

    return open_it
