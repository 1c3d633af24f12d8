"""The dome's weather: what the sources tell, and whether that is safe.

Unknown, stale and unreachable mean unsafe.
"""

from toros.dome.weather.judge import Judge
from toros.dome.weather.sources import make_sources
from toros.dome.weather.verdict import SourceReport, Verdict

__all__ = ["Judge", "SourceReport", "Verdict", "make_sources"]
