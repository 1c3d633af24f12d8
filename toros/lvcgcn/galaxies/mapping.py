"""Which field of a table is which column of the catalogue, and in what unit.

A mapping is written ``column=field[:unit][,field[:unit]...]``; the first field that
is known in a row is used. A distance may be given as a velocity (``km/s``) or a
``redshift``: it is then Hubble's law, d = v / H0 or c z / H0, which is right within a
tenth below z = 0.1 only; velocities under 100 km/s tell no distance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from astropy import units as u
from numpy.typing import NDArray

from toros.errors import CatalogueRefused

Floats = NDArray[np.float64]

LIGHT_KM_S = 299792.458
SLOWEST_KM_S = 100.0
"""Below it a galaxy's own motion outweighs the expansion."""

UNITS = {
    "ra": "deg", "dec": "deg", "distance": "Mpc", "distance_error": "Mpc",
    "b_magnitude": "mag", "k_magnitude": "mag", "stellar_mass": "solMass",
}  # fmt: skip
"""The unit of each column, and of a field whose unit is not told."""

USUAL = {
    "ra": ("ra", "raj2000", "_raj2000", "ra_icrs"),
    "dec": ("dec", "dej2000", "dec_icrs", "_dej2000", "de_icrs"),
    "name": ("name", "gwgc", "hyperleda", "2mass", "objname"),
    "distance": ("distance", "dist", "distmpc", "d_l", "dl"),
    "distance_error": ("distance_error", "d_l_err"),
    "b_magnitude": ("b_magnitude", "bmag", "magb"),
    "k_magnitude": ("k_magnitude", "kmag", "ksmag", "magk"),
    "stellar_mass": ("stellar_mass", "mass", "mstar"),
}
"""What fields are usually called, lower case; where no mapping names the column."""


@dataclass(frozen=True)
class Field:
    """A field of the source, and its unit; an empty one is the source's own or the usual."""

    name: str
    unit: str = ""


FieldMapping = Mapping[str, tuple[Field, ...]]


def read_mapping(texts: Iterable[str]) -> dict[str, tuple[Field, ...]]:
    """Read ``column=field[:unit],...`` texts.

    Raises
    ------
    CatalogueRefused
    """
    mapping = {}
    for text in texts:
        column, sign, fields = text.partition("=")
        if not sign or not fields or (column not in UNITS and column != "name"):
            raise CatalogueRefused(
                f"mapping {text!r}: should be COLUMN=FIELD[:UNIT], with COLUMN one of "
                f"{', '.join(['name', *UNITS])}"
            )
        parts = [part.partition(":") for part in fields.split(",")]
        mapping[column] = tuple(Field(name.strip(), unit.strip()) for name, _, unit in parts)
    return mapping


def complete(mapping: FieldMapping, names: list[str]) -> dict[str, tuple[Field, ...]]:
    """Add the columns whose fields have their usual names.

    Parameters
    ----------
    mapping : mapping
    names : list of str
        The fields that the source has.

    Raises
    ------
    CatalogueRefused
        A field is not there, or there is none for ra or dec.
    """
    for column, fields in mapping.items():
        for field in fields:
            if field.name not in names:
                raise CatalogueRefused(
                    f"mapping {column}={field.name}: the source has no such field; it has "
                    f"{', '.join(names)}"
                )
    whole = dict(mapping)
    lower = {name.lower(): name for name in reversed(names)}
    for column, usual in USUAL.items():
        found = tuple(Field(lower[name]) for name in usual if name in lower)
        if column not in whole and found:
            whole[column] = found if column == "name" else found[:1]
    for column in ("ra", "dec"):
        if column not in whole:
            raise CatalogueRefused(
                f"no field is mapped to {column}; add `{column}=FIELD`, FIELD one of "
                f"{', '.join(names)}"
            )
    return whole


def converter(column: str, unit: str, hubble: float) -> Callable[[Floats], Floats]:
    """Return what turns a field's numbers into a column's.

    Parameters
    ----------
    column : str
    unit : str
        ``km/s``, ``redshift``, or a unit as astropy reads it, ``dex(solMass)`` too;
        empty for the column's own.
    hubble : float
        H0 [km/s/Mpc].

    Raises
    ------
    CatalogueRefused
        The unit is none, or not of the right kind.
    """
    if column == "distance" and unit in ("km/s", "km s-1", "km.s-1", "redshift"):
        to_velocity = LIGHT_KM_S if unit == "redshift" else 1.0
        return lambda values: _hubble(values * to_velocity, hubble)
    wanted = UNITS[column]
    if unit in ("", wanted):
        return lambda values: values
    try:
        parsed = u.Unit(unit)
        (1.0 * parsed).to(u.Unit(wanted))
    except (ValueError, TypeError, u.UnitConversionError) as error:
        raise CatalogueRefused(
            f"mapping of {column}: unit {unit!r} cannot be turned into {wanted} ({error})"
        ) from error
    return lambda values: np.asarray((values * parsed).to_value(wanted), dtype=np.float64)


def _hubble(velocity: Floats, hubble: float) -> Floats:
    with np.errstate(invalid="ignore"):
        return np.where(velocity > SLOWEST_KM_S, velocity / hubble, np.nan)
