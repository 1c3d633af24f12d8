"""The project's own files: what a fresh clone holds, pins, promises and installs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import toros
from tests.conftest import PROJECT

PYTHONS = ("3.11", "3.12", "3.13")
PIN = re.compile(r"([a-z0-9-]+)==([0-9][0-9a-z.]*)(; python_version == '3\.\d+')?")
GENERATED = {"__pycache__", "_build", "build", "dist"}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((PROJECT / "pyproject.toml").read_text())


def pins() -> list[str]:
    lines = (PROJECT / "constraints.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def texts() -> Iterator[tuple[Path, str]]:
    """Read every text file of the project that is written by hand."""
    for folder, folders, names in os.walk(PROJECT):
        folders[:] = [
            name
            for name in folders
            if name not in GENERATED
            and not name.endswith(".egg-info")
            and (not name.startswith(".") or name == ".ci")
        ]
        for name in names:
            path = Path(folder, name)
            content = path.read_bytes()
            if b"\0" not in content:
                yield path, content.decode("utf-8", "replace")


def test_everything_is_there() -> None:
    for name in (
        "README.md",
        "CHANGES.md",
        "CONTRIBUTING.md",
        "LICENSE",
        "Makefile",
        "pyproject.toml",
        "constraints.txt",
        "etc/toros.conf.yaml",
        "systemd/toros-preprocessor.service",
        "docs/index.md",
        "benchmarks",
        "toros/py.typed",
    ):
        assert (PROJECT / name).exists(), f"{name} is missing"


def test_licence(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["license"] == "GPL-3.0-or-later"
    licence = (PROJECT / "LICENSE").read_text()
    assert licence.split()[:7] == "GNU GENERAL PUBLIC LICENSE Version 3, 29".split()
    assert "END OF TERMS AND CONDITIONS" in licence


def test_changes_begin_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (PROJECT / "CHANGES.md").read_text(), re.MULTILINE)
    assert headings[0] == toros.__version__


def test_constraints_are_plain_pins() -> None:
    for line in pins():
        assert PIN.fullmatch(line), f"constraints.txt: {line!r} is no plain pin without an address"


@pytest.mark.parametrize("python", PYTHONS)
def test_every_dependency_is_pinned_once_for_each_python(
    pyproject: dict[str, Any], python: str
) -> None:
    environment = {"python_version": python, "python_full_version": f"{python}.2"}
    pinned: dict[str, Requirement] = {}
    for line in pins():
        pin = Requirement(line)
        if pin.marker is None or pin.marker.evaluate(environment):
            assert pin.name not in pinned, f"{pin.name} is pinned twice for Python {python}"
            pinned[canonicalize_name(pin.name)] = pin
    project = pyproject["project"]
    extras = project["optional-dependencies"].values()
    for requirement in map(Requirement, chain(project["dependencies"], *extras)):
        if requirement.marker is not None and not requirement.marker.evaluate(environment):
            continue
        name = canonicalize_name(requirement.name)
        assert name in pinned, f"{name} is not pinned for Python {python}"
        version = str(pinned[name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{name} {version}"


def test_supported_pythons_are_stated(pyproject: dict[str, Any]) -> None:
    assert pyproject["project"]["requires-python"] == ">=3.11"
    stated = re.findall(r"Python :: (3\.\d+)", " ".join(pyproject["project"]["classifiers"]))
    assert tuple(stated) == PYTHONS


def test_no_package_index_and_no_path_of_a_machine_is_named() -> None:
    # Put together here, so that this file does not name them itself.
    forbidden = [
        *(f"{host}.org" for host in ("py" + "pi", "python" + "hosted", "conda" + "-forge")),
        "registry." + "npmjs",
        "/root/" + ".pyenv",
        "/work" + "/main",
        "/work" + "/shared",
    ]
    found = [
        f"{path.relative_to(PROJECT)}: {name}"
        for path, text in texts()
        for name in forbidden
        if name in text
    ]
    assert not found


def test_every_layer_is_placed(pyproject: dict[str, Any]) -> None:
    (contract,) = pyproject["tool"]["importlinter"]["contracts"]
    assert contract["exhaustive"] is True
    placed = {name.strip() for row in contract["layers"] for name in row.split("|")}
    there = {
        path.stem
        for path in (PROJECT / "toros").iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").exists()) and path.stem != "__init__"
    }
    assert there <= placed


# ---- make and .ci/run --------------------------------------------------------------------------


def make(*arguments: str, cwd: Path = PROJECT) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "PYTHON"))}
    return subprocess.run(
        ["make", *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )


def test_no_recipe_calls_make_again() -> None:
    """A recipe with $(MAKE) in it is run even by `make --dry-run`."""
    recipes = re.findall(r"^\t.*$", (PROJECT / "Makefile").read_text(), re.MULTILINE)
    assert not [line for line in recipes if "$(MAKE)" in line]


def bare_checkout(folder: Path) -> Path:
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(PROJECT / name, folder)
    return folder


def stand_in(folder: Path, script: str) -> str:
    python = folder / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    return f"PYTHON={python}"


def test_make_says_which_python_is_too_old(tmp_path: Path) -> None:
    old = stand_in(tmp_path, 'case $1 in --version) echo "Python 3.9.2" ;; *) exit 1 ;; esac')
    done = make(old, cwd=bare_checkout(tmp_path))
    assert done.returncode != 0
    assert "Python 3.11 or newer" in done.stderr
    assert "Python 3.9.2" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_says_when_venv_is_missing(tmp_path: Path) -> None:
    without = stand_in(tmp_path, "case $2 in *ensurepip*) exit 1 ;; esac")
    done = make(without, cwd=bare_checkout(tmp_path))
    assert done.returncode != 0
    assert "apt-get install python3-venv" in done.stderr


def test_ci_runs_both_tiers_and_allows_no_missing_part() -> None:
    script = PROJECT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    text = script.read_text()
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    for words in ("TOROS_REQUIRE_PARTS=1", "noninteractive", "tier test ", "tier test-long "):
        assert words in text


def test_ci_installs_every_part_that_a_test_asks_for() -> None:
    script = (PROJECT / ".ci" / "run").read_text()
    for path in PROJECT.glob("tests/**/*.py"):
        for package in re.findall(r'"apt-get install (?:-y )?([a-z0-9.+-]+)"', path.read_text()):
            if not package.startswith("linux-image"):  # a kernel is not installed for a test
                assert package in script, f"{path.name} asks for {package}"


@pytest.mark.long
def test_a_staged_installation_is_movable_and_keeps_edited_settings(tmp_path: Path) -> None:
    stage = tmp_path / "stage"
    settings = stage / "etc/toros/toros.conf.yaml"
    settings.parent.mkdir(parents=True)
    settings.write_text("# edited\n")
    done = make("install", f"DESTDIR={stage}", "PREFIX=/usr/local", f"PYTHON={sys.executable}")
    assert done.returncode == 0, done.stderr
    assert "stays as it is" in done.stdout
    assert settings.read_text() == "# edited\n"
    default = settings.with_name("toros.conf.yaml.new")
    assert default.read_bytes() == (PROJECT / "etc/toros.conf.yaml").read_bytes()
    assert default.stat().st_mode & 0o777 == 0o640
    unit = stage / "usr/local/lib/systemd/system/toros-preprocessor.service"
    assert "ExecStart=/usr/local/bin/toros-preprocessor" in unit.read_text()
    assert "@PREFIX@" not in unit.read_text()

    venv = stage / "usr/local/lib/toros/venv"
    for path in (venv / "bin", venv / "pyvenv.cfg", *venv.glob("lib/*/site-packages/toros")):
        found = subprocess.run(["grep", "-rlF", stage, path], capture_output=True, check=False)
        assert found.stdout == b"", "the staging folder is written down in the installation"
    for command in ("toros", "toros-submit", "toros-preprocessor"):
        assert (stage / "usr/local/bin" / command).resolve() == venv / "bin" / command
        first = (venv / "bin" / command).read_text().splitlines()[0]
        assert first == "#!/usr/local/lib/toros/venv/bin/python"
        module = subprocess.run(
            [venv / "bin/python", venv / "bin" / command, "--version"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert toros.__version__ in module.stdout

    done = make("uninstall", f"DESTDIR={stage}", "PREFIX=/usr/local")
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(stage)) for path in stage.rglob("*") if not path.is_dir()}
    assert left == {"etc/toros/toros.conf.yaml", "etc/toros/toros.conf.yaml.new"}
