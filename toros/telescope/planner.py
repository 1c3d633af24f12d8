"""From the book of targets and the settings to what the scheduler takes, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from toros.clock import Clock
from toros.config import Settings
from toros.errors import ConfigurationError
from toros.sky.almanac import Night, night_of
from toros.sky.site import Site
from toros.telescope import scheduling
from toros.telescope.scheduling import Constraints, Plan, SlewModel, Target
from toros.telescope.scheduling.opportunities import Opportunities
from toros.telescope.targets import Listed, TargetRow
from toros.workorders.telescope import Observation, ReceiveTargets

_LOOK_AGAIN = timedelta(seconds=60)
_EARLY_S = 60.0
"""So much before its best moment a target is begun: its last moment might be that, too [s]."""
_NOW = timedelta(seconds=120)


def site_of(settings: Settings) -> Site:
    """Return the observatory's place.

    Raises
    ------
    ConfigurationError
        It is not given.
    """
    place = settings.observatory
    if place.longitude_deg is None or place.latitude_deg is None or place.height_m is None:
        raise ConfigurationError(
            f"{settings.where('Observatory')}: the telescope needs Longitude (deg), "
            "Latitude (deg) and Height (m) of the observatory"
        )
    horizon = tuple(
        (point.azimuth_deg, point.altitude_deg) for point in settings.telescope.limits.horizon
    )
    return Site(place.longitude_deg, place.latitude_deg, place.height_m, horizon)


class Planner:
    """Plans nights for one telescope.

    Parameters
    ----------
    settings : Settings
    clock : Clock

    Raises
    ------
    ConfigurationError
        The observatory's place is not given.
    """

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.site = site_of(settings)
        self._clock = clock
        self._planning = settings.telescope.planning
        limits, planning = settings.telescope.limits, settings.telescope.planning
        self.constraints = Constraints(
            min_altitude_deg=max(planning.altitude_deg, limits.altitude_deg),
            max_airmass=planning.airmass,
            moon_distance_deg=planning.moon_distance_deg,
            sun_altitude_deg=planning.sun_altitude_deg,
            max_hour_angle_h=limits.hour_angle_h,
        )
        self.slew = SlewModel(planning.slew_rate_deg_s, planning.settle_s)
        self.limit_deg = limits.altitude_deg

    def night(self, date: str | None = None) -> Night:
        """Return a night by its evening's date; None for the coming or running one."""
        if date is not None:
            return Night(self.site, datetime.fromisoformat(date).date())
        return night_of(self.site, self._clock.now())

    def target(self, row: TargetRow) -> Target:
        """Return a target of the book as the scheduler sees it."""
        left = max(1, row.number_of_exposures - row.exposures_done)
        planning = self._planning
        target = Target(
            id=row.id,
            ra_deg=row.ra,
            dec_deg=row.dec,
            duration_s=scheduling.duration_of(
                row.exposure_time, left, planning.readout_s,
                filter_change_s=planning.filter_change_s,
            ),
            priority=row.priority,
            name=row.name,
            filters=(row.filter,) if row.filter else (),
            observing_class=row.observing_class,  # type: ignore[arg-type]
            urgency=row.urgency,
            event=row.event,
            rank=row.rank,
            completion=min(row.exposures_done / row.number_of_exposures, 1.0),
            not_before=row.not_before,
            not_after=row.not_after,
            min_altitude_deg=row.altitude_min,
            max_airmass=row.airmass_max,
            moon_distance_deg=row.moon_distance_min,
        )  # fmt: skip
        # Its priority on receipt, moved by how far it is and by how soon its time ends.
        return replace(target, priority=scheduling.appraise(target, self._clock.now()).value)

    def next(
        self, rows: Sequence[TargetRow], pointing: tuple[float, float] | None, plan: Plan | None
    ) -> tuple[TargetRow | None, datetime]:
        """Return the target to go to now, or None, and until when that holds.

        Parameters
        ----------
        rows : sequence of TargetRow
        pointing : (ra_deg, dec_deg) or None
            Where the telescope points, ICRS [deg].
        plan : Plan or None
            The night's plan, which is kept as long as it holds.
        """
        now = self._clock.now()
        end = self.night().end
        entry = scheduling.next_target(
            [self.target(row) for row in rows], self.site, now, end, self.constraints,
            self.slew, pointing=pointing, order=plan.order if plan else (),
        )  # fmt: skip
        if entry is None:
            return None, now + _LOOK_AGAIN
        leave = entry.start - timedelta(seconds=entry.slew_s)
        # What the programs themselves take is long in an accelerated time.
        if leave > now + timedelta(seconds=max(_EARLY_S, self._clock.rate)):
            return None, min(leave, now + _LOOK_AGAIN)
        return next(row for row in rows if row.id == entry.target.id), now

    def startable(self, rows: Sequence[TargetRow]) -> list[TargetRow]:
        """Return those that can be begun now, the most urgent first."""
        if not rows:
            return []
        now = self._clock.now()
        targets = [self.target(row) for row in rows]
        until = now + _NOW + timedelta(seconds=max(target.duration_s for target in targets))
        sky = Opportunities(targets, self.site, now, until, self.constraints)
        found = [
            (-target.priority, row.rank or 10**9, row.id, row)
            for n, (row, target) in enumerate(zip(rows, targets, strict=True))
            if (windows := sky.windows(n)) and windows[0][0] <= _NOW.total_seconds()
        ]
        return [row for *_, row in sorted(found)]

    def plan_night(self, rows: Sequence[TargetRow], night: Night) -> Plan:
        """Plan a night, or what is left of it, for the open targets."""
        begin = max(night.start, self._clock.now()) if night == self.night() else night.start
        return scheduling.plan(
            [self.target(row) for row in rows], self.site, begin, night.end, self.constraints,
            self.slew,
        )  # fmt: skip

    def lowest_deg(self, own: float | None) -> float:
        """Return the altitude that a target must reach, with what it asks for itself [deg]."""
        return max(self.limit_deg, self.constraints.min_altitude_deg if own is None else own)

    def appraise_order(self, order: Observation) -> tuple[float, list[str]]:
        """Return the priority of an order's target, and how it comes about."""
        target = Target(
            id=0, ra_deg=order.ra, dec_deg=order.dec,
            duration_s=order.exposure_time * order.number_of_exposures, priority=0.0,
            observing_class=order.observing_class, urgency=order.urgency,
            not_after=order.not_after,
        )  # fmt: skip
        appraisal = scheduling.appraise(target, self._clock.now())
        return appraisal.value, list(appraisal.reasons)

    def appraise_list(self, order: ReceiveTargets, listed: Sequence[Listed]) -> dict[str, float]:
        """Return the priority of each target of an alert's list, by name."""
        now = self._clock.now()
        return {
            one.name: scheduling.appraise(
                Target(
                    id=one.name, ra_deg=one.ra, dec_deg=one.dec,
                    duration_s=one.exposure_time * one.number_of_exposures, priority=0.0,
                    observing_class="alert", urgency=order.urgency, event=order.event,
                    rank=one.rank, not_after=order.expiry,
                ),
                now,
            ).value
            for one in listed
        }  # fmt: skip

    def explain(self, row: TargetRow, plan: Plan | None) -> list[str]:
        """Explain a target's priority, and when it can be observed this night or why not."""
        night = self.night()
        begin = max(night.start, self._clock.now())
        target = self.target(row)
        appraisal = scheduling.appraise(target, self._clock.now())
        return scheduling.explain(
            target, self.site, begin, night.end, self.constraints, plan=plan, appraisal=appraisal
        )
