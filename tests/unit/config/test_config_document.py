"""A file that is no plain YAML, or no plain file, is refused with its line."""

from __future__ import annotations

import os

import pytest

from toros.config import load
from toros.config.document import SIZE_LIMIT_BYTES, read_document
from toros.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("Logging:\n  Days Kept: 1\n  Days Kept: 2\n", 3, "Logging / Days Kept: given twice"),
        ("Logging: {}\nLogging: {}\n", 2, "it is in line 1 too"),
        ("a: &x 1\nb: 2\n", 1, "an alias or anchor"),
        ("a: 1\nb: *x\n", 2, "an alias or anchor"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "a tag"),
        ("a: !vault abc\n", 1, "a tag"),
        ("a: ! abc\n", 1, "a tag"),
        ("a: 1\n\tb: 2\n", 2, "not YAML"),
        ("a: 1\n b: 2\n", 2, "not YAML: mapping values are not allowed here"),
        ("a: 'open\n", 2, "not YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not YAML"),
        ("[a]: 1\n", 1, "as a key"),
        ("~: 1\n", 1, "as a key"),
        ("a: " + "[" * 100 + "]" * 100, 1, "nested too deeply"),
        ("a: " + "[" * 100_000, 1, "nested too deeply"),
        ("a: " + "{a: " * 100_000, 1, "nested too deeply"),
        ("a: 1\nb: \x07\n", 2, "a character that YAML does not allow"),
    ],
)
def test_what_is_refused(load_text, file, text, line, found):
    with pytest.raises(ConfigurationError) as caught:
        load_text(text)
    message = caught.value.message
    assert message.startswith(f"{file}:{line}: ")
    assert found in message
    assert len(message) < len(str(file)) + 250


def test_a_billion_laughs_cost_nothing(load_text):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    with pytest.raises(ConfigurationError, match="an alias or anchor"):
        load_text("\n".join(lines))


def test_bytes_that_are_no_text_are_refused_with_their_line(file):
    file.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigurationError, match=r":2: byte 0xff; expected UTF-8 text"):
        load(file)


def test_a_byte_order_mark_and_other_line_ends_do_no_harm(file):
    file.write_bytes(b"\xef\xbb\xbfLogging:\r\n  Days Kept: 3\r\n")
    assert load(file, environ={}).logging.days_kept == 3


def test_a_file_over_the_limit_is_refused(file):
    file.write_bytes(b"#" * (SIZE_LIMIT_BYTES + 1))
    with pytest.raises(ConfigurationError, match="too large"):
        load(file)


@pytest.mark.parametrize(
    ("kind", "found"), [("absent", "no such file"), ("folder", "Is a directory")]
)
def test_a_missing_file_or_a_folder_is_refused(file, kind, found):
    if kind == "folder":
        file.mkdir()
    with pytest.raises(ConfigurationError, match=found):
        load(file)


def test_a_pipe_does_not_block_the_start(file):
    os.mkfifo(file)
    with pytest.raises(ConfigurationError, match="not a file"):
        load(file)


def test_a_file_without_permission_is_refused(unprivileged):
    file = unprivileged / "toros.conf.yaml"
    file.touch(mode=0)
    with pytest.raises(ConfigurationError, match="cannot be read: Permission denied"):
        load(file)


def test_scalars_are_those_of_the_core_schema(file):
    file.write_text(
        "a: yes\nb: 12:30:00\nc: 2019-03-05\nd: 1e-3\ne: 0o17\nf: 0x1F\ng: 010\nh: ~\ni:\n"
        "j: True\nk: '1'\nl: 1_000\nm: -.inf\nn: .5\no: y\np: =\n"
    )
    assert read_document(file).data == {
        "a": "yes", "b": "12:30:00", "c": "2019-03-05", "d": 1e-3, "e": 15, "f": 31, "g": 10,
        "h": None, "i": None, "j": True, "k": "1", "l": "1_000", "m": float("-inf"), "n": 0.5,
        "o": "y", "p": "=",
    }  # fmt: skip
