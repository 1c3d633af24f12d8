"""Frames as FITS files: what is true of each, and the header that says so.

The headers follow the SBFITSEXT keywords that camera software commonly writes,
with the FITS standard's time keywords and TAN projection.

References
----------
.. [1] Pence, W. D., et al., 2010, A&A 524, A42: FITS 3.0; Rots, A. H., et al.,
   2015, A&A 574, A36: its time keywords.
.. [2] SBIG, 2003, SBFITSEXT version 1.0: IMAGETYP, CCD-TEMP, EGAIN, XBINNING.
.. [3] Meeus, J., 1998, Astronomical Algorithms, 2nd ed., equation 12.4: mean
   sidereal time.
.. [4] Kasten, F., Young, A. T., 1989, Applied Optics 28, 4735: airmass.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from datetime import UTC, datetime

from astropy.coordinates import Angle
from astropy.io import fits

from toros.clock import to_iso
from toros.simulation.camera import Camera, Counts
from toros.simulation.sky import Optics, StarField

# Cordon Macon, Salta, Argentina.
SITE_LONGITUDE_DEG, SITE_LATITUDE_DEG, SITE_HEIGHT_M = -67.3283, -24.6231, 4637.0

_IMAGE_TYPES = {
    "bias": "Bias Frame",
    "dark": "Dark Frame",
    "flat": "Flat Field",
    "light": "Light Frame",
}
_GAIN_SETTING = 1500  # a register of the camera's electronics, as drivers write it
_MJD_EPOCH = datetime(1858, 11, 17, tzinfo=UTC)


@dataclass(frozen=True)
class FrameTruth:
    """What is true of a frame.

    Attributes
    ----------
    name : str
        Its file's name.
    number : int
        The number that its noise is drawn with.
    frame_type : str
        "bias", "dark", "flat" or "light".
    start_utc : datetime
        When the exposure began, aware.
    exposure_time_s : float
        Exposure time [s].
    filter : str or None
        None for biases and darks.
    temperature_c : float
        The chip's temperature [deg C].
    level_adu : float or None
        A flat's mean signal above bias and dark current, at response 1 [ADU].
    ra_deg, dec_deg : float or None
        A light's centre, ICRS [deg].
    airmass : float or None
        A light's airmass, in mid-exposure.
    sha256 : str
        Of the file's bytes, in hex.
    """

    name: str
    number: int
    frame_type: str
    start_utc: datetime
    exposure_time_s: float
    filter: str | None
    temperature_c: float
    level_adu: float | None = None
    ra_deg: float | None = None
    dec_deg: float | None = None
    airmass: float | None = None
    sha256: str = ""


def modified_julian_date(moment: datetime) -> float:
    """Return the modified Julian date of an aware moment, UTC [day]."""
    return (moment - _MJD_EPOCH).total_seconds() / 86400


def airmass(moment: datetime, ra_deg: float, dec_deg: float) -> float:
    """Return the airmass of a place in the sky at the simulated site.

    Good to a part in a hundred down to an altitude of 10 degrees: precession
    since J2000 and UT1 - UTC are left out.

    Parameters
    ----------
    moment : datetime
        Aware.
    ra_deg, dec_deg : float, ICRS [deg]
    """
    days = modified_julian_date(moment) - 51544.5
    sidereal_deg = 280.46061837 + 360.98564736629 * days + SITE_LONGITUDE_DEG
    hour_angle = math.radians(sidereal_deg - ra_deg)
    latitude, declination = math.radians(SITE_LATITUDE_DEG), math.radians(dec_deg)
    sine = math.sin(latitude) * math.sin(declination)
    sine += math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    # The formula ends at the horizon; below it a frame is nonsense, but its header need not be.
    altitude_deg = max(math.degrees(math.asin(min(sine, 1.0))), 0.0)
    return float(
        1 / (math.sin(math.radians(altitude_deg)) + 0.50572 * (altitude_deg + 6.07995) ** -1.6364)
    )


def make_header(
    frame: FrameTruth, camera: Camera, optics: Optics, field: StarField, binning: int = 1
) -> fits.Header:
    """Return the header that an observatory would write.

    Parameters
    ----------
    frame : FrameTruth
    camera : Camera
    optics : Optics
    field : StarField
    binning : int
        Pixels of the chip along each side of a pixel of the frame.
    """
    header = fits.Header()
    header["IMAGETYP"] = (_IMAGE_TYPES[frame.frame_type], "type of frame")
    header["DATE-OBS"] = (to_iso(frame.start_utc), "start of exposure, UTC")
    header["TIMESYS"] = ("UTC", "time scale")
    header["MJD-OBS"] = (modified_julian_date(frame.start_utc), "[d] start of exposure")
    header["EXPTIME"] = (frame.exposure_time_s, "[s] exposure time")
    header["EXPOSURE"] = (frame.exposure_time_s, "[s] exposure time")
    if frame.filter is not None:
        header["FILTER"] = (frame.filter, "filter")
    header["CCD-TEMP"] = (frame.temperature_c, "[degC] temperature of the chip")
    header["SET-TEMP"] = (camera.dark_reference_c, "[degC] temperature asked for")
    header["XBINNING"] = (binning, "binning along x")
    header["YBINNING"] = (binning, "binning along y")
    header["XPIXSZ"] = (camera.pixel_um, "[um] pixel size along x, binning included")
    header["YPIXSZ"] = (camera.pixel_um, "[um] pixel size along y, binning included")
    header["GAIN"] = (_GAIN_SETTING, "gain setting, not electron/ADU")
    header["EGAIN"] = (round(camera.gain_e_adu, 3), "[electron/ADU] gain")
    header["INSTRUME"] = ("TOROS simulated CCD", "camera")
    header["TELESCOP"] = ("TOROS simulated telescope", "telescope")
    header["SITELAT"] = (SITE_LATITUDE_DEG, "[deg] latitude, north positive")
    header["SITELONG"] = (SITE_LONGITUDE_DEG, "[deg] longitude, east positive")
    header["SITEELEV"] = (SITE_HEIGHT_M, "[m] height above sea level")
    if frame.frame_type == "flat":
        header["OBJECT"] = ("twilight sky", "what the telescope looks at")
    if frame.frame_type == "light":
        _add_pointing(header, frame, camera, optics, field)
    return header


def _add_pointing(
    header: fits.Header, frame: FrameTruth, camera: Camera, optics: Optics, field: StarField
) -> None:
    ra, dec = Angle(frame.ra_deg, "deg"), Angle(frame.dec_deg, "deg")
    header["OBJECT"] = (field.name, "what the telescope looks at")
    header["RA"] = (frame.ra_deg, "[deg] right ascension of the centre, ICRS")
    header["DEC"] = (frame.dec_deg, "[deg] declination of the centre, ICRS")
    header["OBJCTRA"] = (ra.to_string("hourangle", sep=" ", precision=2, pad=True), "[h m s]")
    header["OBJCTDEC"] = (
        dec.to_string("deg", sep=" ", precision=1, pad=True, alwayssign=True),
        "[d m s]",
    )
    header["AIRMASS"] = (frame.airmass, "airmass in mid-exposure")
    wcs = optics.wcs(float(ra.deg), float(dec.deg), camera.shape).wcs
    header["RADESYS"] = ("ICRS", "celestial reference system")
    for axis in (0, 1):
        header[f"CTYPE{axis + 1}"] = wcs.ctype[axis]
        header[f"CUNIT{axis + 1}"] = "deg"
        header[f"CRVAL{axis + 1}"] = (float(wcs.crval[axis]), "[deg]")
        header[f"CRPIX{axis + 1}"] = (float(wcs.crpix[axis]), "[pixel], counted from 1")
        for other in (0, 1):
            header[f"CD{axis + 1}_{other + 1}"] = (float(wcs.cd[axis][other]), "[deg/pixel]")


def fits_bytes(pixels: Counts, header: fits.Header) -> bytes:
    """Return a FITS file: 16 bits, unsigned by BZERO, nothing of the wall clock in it."""
    buffer = io.BytesIO()
    fits.PrimaryHDU(pixels, header).writeto(buffer)
    return buffer.getvalue()
