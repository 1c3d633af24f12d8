"""The header dialects as tables: which keywords say what, most trusted first.

A new camera is a new word in one of these tables, or a site rule; no code.

References
----------
FITS Standard 4.0 (2018), sections 4.4.2 and 9; SBFITSEXT 1.0; headers of
MaxIm DL, CCDSoft, AstroFX, NOAO/IRAF, ESO, Gemini, Liverpool Telescope,
SAAO, MicroObservatory, PANOPTES, INDI.
"""

from __future__ import annotations

from toros.images.facts import FrameType

TYPE = (
    "IMAGETYP",
    "IMGTYPE",
    "OBSTYPE",
    "FRAMETYP",
    "FRAME",
    "EXPTYPE",
    "OBS-TYPE",
    "ESO DPR TYPE",
)
"""Where the type of a frame stands. FRAME is INDI's; elsewhere it names a coordinate frame."""

TYPE_WORDS: dict[str, FrameType] = {
    "bias": "bias",
    "bias frame": "bias",
    "zero": "bias",
    "zero frame": "bias",
    "offset": "bias",
    "offset frame": "bias",
    "dark": "dark",
    "dark frame": "dark",
    "dark flat": "dark",
    "flat dark": "dark",
    "flat": "flat",
    "flat field": "flat",
    "flatfield": "flat",
    "flat frame": "flat",
    "flat field frame": "flat",
    "sky flat": "flat",
    "skyflat": "flat",
    "dome flat": "flat",
    "domeflat": "flat",
    "twilight flat": "flat",
    "flat sky": "flat",
    "flat twilight": "flat",
    "flat dome": "flat",
    "flat lamp": "flat",
    "light": "light",
    "light frame": "light",
    "object": "light",
    "science": "light",
    "expose": "light",
    "standard": "light",
    "std": "light",
}
"""The words for each type, lower case, everything but letters and digits read as one blank."""

DATE_TIME = ("DATE-BEG", "DATE-OBS", "UT-OBS", "UTC-OBS", "DATE_OBS", "DATE-UTC", "UTDATE")
"""Date and time of the start together, or the date alone."""

TIME_OF_DAY = ("UTSTART", "UT-START", "TIME-OBS", "TIME-BEG", "UT-OBS", "UTC-OBS", "UT", "UTC")
"""Time of the start alone: text, or decimal hours."""

MJD = ("MJD-BEG", "MJD-OBS", "MJD", "MJDSTART")
JD = ("JD", "JD-OBS", "JDSTART")

EXPOSURE = ("EXPTIME", "EXPOSURE", "EXP-TIME", "EXP_TIME", "EXPOSED", "TEXPTIME", "ITIME")
TEMPERATURE = (
    "CCD-TEMP",
    "CCDTEMP",
    "CCD_TEMP",
    "CCDATEMP",
    "DET-TEMP",
    "DETTEMP",
    "SENSTEMP",
    "CHIPTEMP",
    "CAMTEMP",
    "TEMPERAT",
)
SET_POINT = ("SET-TEMP", "SETTEMP", "CCDSTEMP")

FILTER = ("FILTER", "FILTERS", "FILTNAM", "FILTNAME", "INSFILTE", "ESO INS FILT1 NAME")
FILTER_WHEELS = ("FILTER1", "FILTER2", "FILTER3")
FILTER_ABSENT = frozenset({"none", "null", "n/a", "na", "nan", "unknown", "undefined", "-"})
FILTER_OPEN = ("open", "clear", "empty", "blank", "air")
"""How the name of a wheel's empty place begins."""

BAYER = ("BAYERPAT", "BAYRPAT", "CFA-PAT", "COLORTYP")
BAYER_PATTERNS = frozenset({"RGGB", "BGGR", "GRBG", "GBRG"})

GAIN = ("EGAIN", "E-GAIN", "EPERDN", "GAIN")
GAIN_SETTING = ("GAINSET", "GAIN", "ISO", "ISOSPEED")

BINNING = (("XBINNING", "YBINNING"), ("CCDXBIN", "CCDYBIN"), ("XBIN", "YBIN"), ("BINX", "BINY"))
BINNING_TEXT = ("CCDSUM", "BINNING")

INSTRUMENT = ("INSTRUME", "CAMERA", "CAMNAME", "CAMSN", "DETECTOR")
TELESCOPE = ("TELESCOP", "TELNAME")
OBJECT = ("OBJECT", "OBJNAME", "TARGNAME", "FIELD")

POINTING = (
    ("RA", "DEC"),
    ("RA_OBS", "DEC_OBS"),
    ("OBJCTRA", "OBJCTDEC"),
    ("TELRA", "TELDEC"),
    ("RA-MNT", "DEC-MNT"),
)

SCIENCE_EXTENSION = "SCI"
AUXILIARY_EXTENSION = (
    r"(VAR|VARIANCE|IVAR|ERR|ERROR|UNCERT|SIGMA|DQ|MASK|BPM|FLAGS?|WHT|WEIGHT|WGT|"
    r"SKY\w*|BKG|BACKGROUND|CAT|PSF\w*|OVERSCAN)[ ,_]?\d*"
)
"""Names of extensions whose pixels are not the camera's."""
