"""A camera, a sky and a night whose truth is known.

For demonstrations, rehearsals and tests: what a reduction recovers can be held
against what went in. ``Camera`` is the detector, ``StarField`` and ``Optics``
the sky as it falls on the detector, ``make_night`` a folder of FITS files with
the truth about each of them.
"""

from toros.simulation.broken import BrokenFile
from toros.simulation.camera import Camera
from toros.simulation.frames import FrameTruth
from toros.simulation.night import Night, make_night
from toros.simulation.sky import Optics, Star, StarField, draw_scene, draw_stars

__all__ = [
    "BrokenFile",
    "Camera",
    "FrameTruth",
    "Night",
    "Optics",
    "Star",
    "StarField",
    "draw_scene",
    "draw_stars",
    "make_night",
]
