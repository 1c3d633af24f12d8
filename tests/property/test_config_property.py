"""Whatever stands in the file: settings or a `ConfigurationError`, and no secret in its words."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st

from toros.config import Settings, load
from toros.config.show import rows, to_text
from toros.errors import ConfigurationError

SECRET = "hunter2hunter2"
HASH = "$argon2id$v=19$m=65536,t=3,p=4$" + "A" * 22 + "$" + SECRET + "A" * 29

FILE = f"""\
Dome Service Address:
  HTTP: http://me:{SECRET}@127.0.0.1:8082
Database:
  URL: postgresql://toros:{SECRET}@db/toros
Email Configuration: {{User: me, Password: '{SECRET}'}}
Front Desk:
  Users:
    - Name: observer
      Password Hash: {HASH}
      Requests: [status]
Preprocessor:
  Header Rules:
    - Header: {{INSTRUME: 'ST*'}}
      Set: {{exposure_time_s: 3, filter: null}}
"""


def outcome(text: str) -> str:
    """Load a text; return everything that a person would be shown."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "toros.conf.yaml"
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        try:
            loaded = load(file, "dome", environ={})
        except ConfigurationError as error:
            return error.message
        return to_text(rows(loaded)) + repr(loaded) + "\n".join(loaded.warnings)


def test_the_unharmed_file_loads():
    assert "observer" in outcome(FILE)
    assert SECRET not in outcome(FILE)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(
    place=st.integers(0, len(FILE)),
    removed=st.integers(0, 3),
    put=st.text(st.sampled_from(list("\n\t :-[]{}'\"&*!|>%@#?,ab1\0é\ud800")), max_size=3),
)
@example(place=0, removed=0, put="")
def test_a_slip_of_the_pen_shows_no_secret(place: int, removed: int, put: str):
    # A slip within the secret itself leaves parts of it: those that matter are still long.
    shown = outcome(FILE[:place] + put + FILE[place + removed :])
    assert SECRET not in shown


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
sections = st.sampled_from([str(field.alias) for field in Settings.model_fields.values()])


@settings(max_examples=300, derandomize=True, deadline=None)
@given(data=st.dictionaries(sections, json_values, max_size=4))
def test_any_data_are_taken_or_refused(data: dict[str, object]):
    import yaml

    assert outcome(yaml.safe_dump(data, allow_unicode=True))


@settings(max_examples=200, derandomize=True, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str):
    assert outcome(text)
