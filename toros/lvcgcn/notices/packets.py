"""The kinds of VOEvents that are known, of GCN's classic notices and of SVOM.

References
----------
GCN/TAN Socket Packet Definition Document (packet types); https://gcn.nasa.gov/missions
(error radii and their containment); SVOM French Science Center, "Notices and circulars".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from toros.lvcgcn.notices.places import GBM_SYSTEMATIC_DEG

GCN = "ivo://nasa.gsfc.gcn/"
SVOM = "ivo://org.svom/"


@dataclass(frozen=True)
class Packet:
    """A kind of VOEvent.

    Parameters
    ----------
    number : int
        Packet type.
    kind : str
    mission : str
    trigger : str
        What stands before the trigger in the event's name.
    containment : float, 0 to 1, optional
        Of the position's error radius, by the mission's documents.
    has_position : bool
        False for those whose position is of no source, or another notice's.
    systematic_deg : float [deg]
        Systematic error, which the notice has not included.
    is_test, is_retraction : bool
        Whether all of the kind are.
    sender : str
        How the names of its VOEvents begin.
    """

    number: int
    kind: str
    mission: str
    trigger: str
    containment: float | None = None
    has_position: bool = True
    systematic_deg: float = 0.0
    is_test: bool = False
    is_retraction: bool = False
    sender: str = GCN


def _swift() -> Iterator[Packet]:
    # BAT triggers, XRT and UVOT look at what it has found: one event.
    with_position = {
        61: "BAT_GRB_Pos", 67: "XRT_Pos", 81: "UVOT_Pos", 84: "BAT_Trans",
        97: "BAT_QuickLook_Pos", 98: "BAT_SubThresh_Pos", 99: "BAT_Slew_Pos",
        133: "BAT_Monitor", 140: "BAT_SubSub_Pos", 141: "BAT_Known_Pos",
    }  # fmt: skip
    without = {
        60: "BAT_GRB_Alert", 62: "BAT_GRB_Pos_Nack", 63: "BAT_GRB_LC", 64: "BAT_ScaledMap",
        65: "FOM_Obs", 66: "SC_Slew", 68: "XRT_Spectrum", 69: "XRT_Image", 70: "XRT_LC",
        71: "XRT_Nack", 72: "UVOT_SrcList", 73: "UVOT_Image", 76: "BAT_GRB_LC_Proc",
        77: "XRT_Spectrum_Proc", 78: "XRT_Image_Proc", 79: "UVOT_SrcList_Proc",
        80: "UVOT_Image_Proc", 85: "XRT_ThreshPix", 86: "XRT_ThreshPix_Proc", 87: "XRT_SPER",
        88: "XRT_SPER_Proc", 89: "UVOT_Pos_Nack",
    }  # fmt: skip
    for number, kind in with_position.items():
        yield Packet(number, kind, "Swift", "Swift-BAT", 0.9)
    for number, kind in without.items():
        yield Packet(number, kind, "Swift", "Swift-BAT", has_position=False)
    yield Packet(82, "BAT_GRB_Pos_Test", "Swift", "Swift-BAT", 0.9, is_test=True)


def _fermi() -> Iterator[Packet]:
    gbm = {111: "GBM_Flt_Pos", 112: "GBM_Gnd_Pos", 115: "GBM_Fin_Pos", 131: "GBM_SubThresh"}
    lat = {
        120: "LAT_Initial_Pos", 121: "LAT_Updated_Pos", 122: "LAT_Final_Pos", 123: "LAT_Trans",
        125: "LAT_Monitor", 127: "LAT_Ground_Pos", 128: "LAT_Offline_Pos",
    }  # fmt: skip
    yield Packet(110, "GBM_Alert", "Fermi", "Fermi-GBM", has_position=False)
    yield Packet(113, "GBM_LC", "Fermi", "Fermi-GBM", has_position=False)
    for number, kind in gbm.items():
        yield Packet(number, kind, "Fermi", "Fermi-GBM", 0.68, systematic_deg=GBM_SYSTEMATIC_DEG)
    for number, kind in lat.items():
        yield Packet(number, kind, "Fermi", "Fermi-LAT", 0.9)
    yield Packet(119, "GBM_Test_Pos", "Fermi", "Fermi-GBM", 0.68, is_test=True)
    yield Packet(124, "LAT_Test_Pos", "Fermi", "Fermi-LAT", 0.9, is_test=True)


def _high_energy() -> Iterator[Packet]:
    yield Packet(52, "SPIACS_Trigger", "INTEGRAL", "INTEGRAL-SPIACS", has_position=False)
    for number, kind in {53: "Wakeup", 54: "Refined", 55: "Offline", 56: "Weak"}.items():
        yield Packet(number, f"{kind}_Pos", "INTEGRAL", "INTEGRAL-IBIS", 0.9)
    yield Packet(134, "Unknown_Source_Pos", "MAXI", "MAXI-GSC", 0.9)
    yield Packet(135, "Known_Source_Pos", "MAXI", "MAXI-GSC", 0.9)
    yield Packet(136, "Test_Pos", "MAXI", "MAXI-GSC", 0.9, is_test=True)
    for number, kind in {100: "Wakeup", 101: "Ground", 102: "Refined"}.items():
        yield Packet(number, f"{kind}_Pos", "AGILE", "AGILE-GRID")
    yield Packet(105, "MCAL_Alert", "AGILE", "AGILE-MCAL", has_position=False)
    yield Packet(108, "Trans", "AGILE", "AGILE-GRID")
    yield Packet(109, "Test_Pos", "AGILE", "AGILE-GRID", is_test=True)
    yield Packet(160, "GBM_Flt_LC", "CALET", "CALET-GBM", has_position=False)
    yield Packet(161, "GBM_Gnd_LC", "CALET", "CALET-GBM", has_position=False)
    yield Packet(188, "Flt_Pos", "GECAM", "GECAM")
    yield Packet(189, "Gnd_Pos", "GECAM", "GECAM")


def _neutrinos() -> Iterator[Packet]:
    icecube = {
        158: "ICECUBE_HESE", 169: "ICECUBE_EHE", 173: "ICECUBE_GOLD", 174: "ICECUBE_BRONZE",
        176: "ICECUBE_Cascade",
    }  # fmt: skip
    for number, kind in icecube.items():
        yield Packet(number, kind, "IceCube", "IceCube", 0.9)
    yield Packet(157, "ICECUBE_COINC", "AMON", "AMON", 0.9)
    yield Packet(168, "GWHEN_COINC", "AMON", "AMON", 0.9)
    yield Packet(172, "NU_EM_COINC", "AMON", "AMON", 0.9)
    yield Packet(171, "HAWC_BURST_MONITOR", "HAWC", "HAWC", 0.9)
    yield Packet(175, "SK_SN", "Super-Kamiokande", "SK-SN", 0.9)
    yield Packet(149, "SNEWS", "SNEWS", "SNEWS")


def _svom() -> Iterator[Packet]:
    # One burst identifier for all instruments: one event.
    kinds = {
        201: "grm-trigger", 202: "eclairs-wakeup", 203: "eclairs-catalog", 204: "slewing",
        205: "not-slewing", 209: "mxt-initial", 210: "mxt-update", 211: "vt-candidate",
    }  # fmt: skip
    for number, kind in kinds.items():
        yield Packet(number, kind, "SVOM", "SVOM", 0.9, sender=SVOM)
    yield Packet(219, "retraction", "SVOM", "SVOM", is_retraction=True, sender=SVOM)


PACKETS = (*_swift(), *_fermi(), *_high_energy(), *_neutrinos(), *_svom())
"""The kinds that are known."""
