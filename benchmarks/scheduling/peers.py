"""The peers: astroplan's PriorityScheduler, and a greedy dispatcher."""

from __future__ import annotations

import time
import warnings
from datetime import UTC, timedelta

import numpy as np

from benchmarks.scheduling.checker import Row
from benchmarks.scheduling.instances import SITE, Instance
from toros.sky.observability import LocalSky, separation


def astroplan_priority(instance: Instance, slot_s: float = 20.0) -> tuple[list[Row], float]:
    """Plan with astroplan's PriorityScheduler; return its plan and the CPU seconds.

    Its score prefers small airmasses, as W does; its priorities are 0 for the best.
    """
    import astroplan
    import astropy.units as u
    from astropy.coordinates import EarthLocation, SkyCoord
    from astropy.time import Time
    from astropy.utils import iers

    iers.conf.auto_download = False
    place = EarthLocation.from_geodetic(
        SITE.longitude_deg * u.deg, SITE.latitude_deg * u.deg, SITE.height_m * u.m
    )
    observer = astroplan.Observer(location=place)
    constraints = [
        astroplan.AltitudeConstraint(min=30 * u.deg),
        astroplan.AirmassConstraint(max=2.0, boolean_constraint=False),
        astroplan.MoonSeparationConstraint(min=30 * u.deg),
    ]
    blocks = [
        astroplan.ObservingBlock(
            astroplan.FixedTarget(SkyCoord(t.ra_deg * u.deg, t.dec_deg * u.deg), name=str(t.id)),
            t.duration_s * u.s,
            10.0 - t.priority,
        )
        for t in instance.targets
    ]
    schedule = astroplan.Schedule(Time(instance.start), Time(instance.end))
    scheduler = astroplan.PriorityScheduler(
        constraints=constraints, observer=observer,
        transitioner=astroplan.Transitioner(slew_rate=2.0 * u.deg / u.s),
        time_resolution=slot_s * u.s,
    )  # fmt: skip
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scheduler(blocks, schedule)
    seconds = time.process_time() - began
    rows = [
        Row(
            str(block.target.name),
            block.start_time.to_datetime(UTC),
            block.end_time.to_datetime(UTC),
        )
        for block in schedule.observing_blocks
    ]
    return rows, seconds


def greedy(instance: Instance, step_s: float = 60.0) -> tuple[list[Row], float]:
    """Observe, whenever the telescope is free, what is worth the most per second just then.

    Targets of priority 9 and more come first. Returns the plan and the CPU seconds.
    """
    began = time.process_time()
    length = (instance.end - instance.start).total_seconds()
    times = np.arange(0.0, length + step_s, step_s)
    sky = LocalSky(SITE, instance.start.timestamp() + times)
    places = sky.place([t.ra_deg for t in instance.targets], [t.dec_deg for t in instance.targets])
    altitude, moon = sky.altitude(places), sky.moon_distance(places)
    good = (altitude >= 30.05) & (moon >= 30.05)
    duration = np.array([t.duration_s for t in instance.targets])
    priority = np.array([t.priority for t in instance.targets])
    left = np.ones(len(instance.targets), bool)
    rows: list[Row] = []
    now, here = 0.0, None
    while now < length:
        slew = np.zeros(duration.size) if here is None else separation(places, places[here]) / 2.0
        end = now + slew + duration
        first, last = int(now // step_s), np.minimum(end // step_s + 1, times.size - 1).astype(int)
        # The sky changes little in a few minutes: its state at both ends decides.
        ok = left & (end <= length) & good[:, first] & good[np.arange(duration.size), last]
        height = np.sin(np.radians(altitude[np.arange(duration.size), (first + last) // 2]))
        score = np.where(ok, priority * height * duration / (slew + duration), -1.0)
        score += np.where(ok & (priority >= 9.0), 100.0, 0.0)
        best = int(np.argmax(score))
        if score[best] < 0.0:
            now += step_s
            continue
        start = now + slew[best]
        now = start + duration[best]
        left[best], here = False, best
        begun = instance.start + timedelta(seconds=float(start))
        target = instance.targets[best]
        rows.append(Row(str(target.id), begun, begun + timedelta(seconds=target.duration_s)))
    return rows, time.process_time() - began
