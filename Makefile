# TOROS: build, try, test, document, install.
#
#   make              .venv in this folder, with the commands in .venv/bin
#   make demo         a simulated night, from raw frames to calibrated ones
#   make demo-night   a whole night of a simulated observatory, in an accelerated time
#   make demo-alert   an alert from its notice to two observatories' target lists
#   make test         linters and the short tier of tests (at most 15 minutes on two cores)
#   make test-long    the long tier: fuzzing, kills, large batches (at most 45 minutes)
#   make lint         ruff, mypy, import-linter
#   make docs         the documentation, in docs/_build/html
#   make benchmarks   TOROS against named peers, measured in the same run
#   make install      to PREFIX, /etc/toros and systemd (as root; DESTDIR for packagers)
#   make uninstall    takes away what install put there, but no settings and no data
#   make clean        takes away everything that can be made again
#
# PYTHON names the interpreter:  make PYTHON=python3.12
# ARGS goes to pytest:           make test ARGS='-k desk -x'

PYTHON     ?= python3
JOBS       ?= 2
ARGS       ?=
DESTDIR    ?=
PREFIX     ?= /usr/local
# systemd looks below these prefixes by itself; any other is unknown to it.
SYSTEMD    := $(if $(filter /usr /usr/local,$(PREFIX)),$(PREFIX)/lib,/etc)
UNITDIR    ?= $(SYSTEMD)/systemd/system
USERDIR    ?= $(SYSTEMD)/sysusers.d

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
MADE_FROM := pyproject.toml constraints.txt

SHELL := /bin/sh
.SHELLFLAGS := -euc
.ONESHELL:
.DELETE_ON_ERROR:
.PHONY: all demo demo-night demo-alert test test-long lint docs benchmarks install uninstall clean other-python

all: .venv/.installed

# ---- the virtual environment of this checkout -----------------------------------------------

define need_python
if ! $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    echo "TOROS needs Python 3.11 or newer, and '$(PYTHON)' is not ($$($(PYTHON) --version 2>&1 | tail -n 1))." >&2
    echo "Name one that is:  make PYTHON=/path/to/python3.12" >&2
    echo "or install one:    apt-get install python3 python3-venv   (Debian 12, Ubuntu 24.04 or newer)" >&2
    exit 1
fi
if ! $(PYTHON) -c 'import ensurepip, venv' 2>/dev/null; then
    echo "'$(PYTHON)' cannot make virtual environments: its venv module is not installed." >&2
    echo "Install it with:   apt-get install python3-venv" >&2
    exit 1
fi
endef

# A PYTHON that is named and is not the one .venv was made with replaces .venv.
WHICH := import sys; print(sys.base_prefix, sys.version)
ifneq ($(origin PYTHON),file)
ifneq ($(shell $(PYTHON) -c '$(WHICH)' 2>/dev/null),$(shell $(BIN)/python -c '$(WHICH)' 2>/dev/null))
REPLACE := other-python
endif
endif

.venv/.made: $(REPLACE)
	@$(need_python)
	$(PYTHON) -m venv --clear .venv
	touch $@

.venv/.installed: .venv/.made $(MADE_FROM)
	@echo 'Installing TOROS and what it needs into .venv (one to three minutes the first time) ...'
	$(PIP) --editable .
	touch $@
	echo "Installed: $$(ls $(BIN)/toros* | tr '\n' ' ')"

.venv/.installed-tests: .venv/.installed $(MADE_FROM)
	@echo 'Installing what the tests and the documentation need into .venv ...'
	$(PIP) --editable '.[test,docs]'
	touch $@

# ---- trying and testing ---------------------------------------------------------------------

demo: .venv/.installed
	@$(BIN)/toros demo

demo-night: .venv/.installed
	@$(BIN)/toros demo-night

demo-alert: .venv/.installed
	@$(BIN)/toros demo-alert

define lint
echo '== ruff'
$(BIN)/ruff check .
$(BIN)/ruff format --check .
echo '== mypy'
$(BIN)/mypy
echo '== import-linter'
$(BIN)/lint-imports
endef

lint: .venv/.installed-tests
	@$(lint)

# The time is printed whatever happens. No $(MAKE) here: make would run it, and the tests with it,
# even when asked for a dry run.
test: .venv/.installed-tests
	@start=$$(date +%s); trap 'echo "make test: $$(( $$(date +%s) - start )) s"' EXIT
	$(lint)
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m 'not long' $(ARGS)

test-long: .venv/.installed-tests
	@start=$$(date +%s); trap 'echo "make test-long: $$(( $$(date +%s) - start )) s"' EXIT
	$(BIN)/pytest -n $(JOBS) --dist worksteal -m long $(ARGS)

docs: .venv/.installed-tests
	@$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going docs docs/_build/html
	echo "The documentation is in docs/_build/html/index.html"

.venv/.installed-benchmarks: .venv/.installed-tests $(MADE_FROM)
	@echo 'Installing the peers of the benchmarks into .venv ...'
	$(PIP) --editable '.[benchmark]'
	touch $@

benchmarks: .venv/.installed-benchmarks
	@for benchmark in benchmarks/*.py; do
	    echo "== $$benchmark"
	    $(BIN)/python "$$benchmark"
	done

# ---- installing on an observatory's machine -------------------------------------------------

# The virtual environment is built beside the one in use and then takes its place, so that an
# installation that breaks off leaves the old one working. What pip wrote with the path of the
# building place is rewritten to the final one, which also makes a DESTDIR tree movable to /.
define install_venv
lib='$(DESTDIR)$(PREFIX)/lib/toros'
final='$(PREFIX)/lib/toros/venv'
source=$$(mktemp -d)
trap 'rm -rf "$$source" "$$lib/venv.new"' EXIT
mkdir -p "$$lib"
lib=$$(cd "$$lib" && pwd)
cp -R pyproject.toml README.md LICENSE toros "$$source"
echo "Installing TOROS and what it needs for $$final (one to three minutes) ..."
$(PYTHON) -m venv --clear "$$lib/venv.new"
"$$lib/venv.new/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile \
    --constraint constraints.txt "$$source"
grep -rlIF "$$lib/venv.new" "$$lib/venv.new/bin" "$$lib/venv.new/pyvenv.cfg" | while read -r file; do
    sed -i "s|$$lib/venv.new|$$final|g" "$$file"
done
# Some libraries carry files for other Pythons, which do not compile here; nothing imports them.
"$$lib/venv.new/bin/python" -m compileall -qqf -j 0 -s "$$lib/venv.new" -p "$$final" "$$lib/venv.new/lib" || true
rm -rf "$$lib/venv.old"
if [ -e "$$lib/venv" ]; then mv "$$lib/venv" "$$lib/venv.old"; fi
mv "$$lib/venv.new" "$$lib/venv"
rm -rf "$$lib/venv.old"
mkdir -p '$(DESTDIR)$(PREFIX)/bin'
for command in "$$lib"/venv/bin/toros*; do
    ln -sfn "../lib/toros/venv/bin/$${command##*/}" '$(DESTDIR)$(PREFIX)/bin/'
done
endef

# The settings belong to the observatory: a file that was edited stays as it is, and the new
# default lies beside it. The copy in share/ tells whether it was edited.
define install_settings
mkdir -p '$(DESTDIR)/etc/toros' '$(DESTDIR)$(PREFIX)/share/toros'
mine='$(DESTDIR)/etc/toros/toros.conf.yaml'
shipped='$(DESTDIR)$(PREFIX)/share/toros/toros.conf.yaml'
if [ ! -e "$$mine" ] || cmp -s "$$mine" "$$shipped"; then
    install -m 0640 etc/toros.conf.yaml "$$mine"
elif ! cmp -s "$$mine" etc/toros.conf.yaml; then
    install -m 0640 etc/toros.conf.yaml "$$mine.new"
    echo "$$mine was edited and stays as it is; the new default is $$mine.new"
fi
install -m 0644 etc/toros.conf.yaml "$$shipped"
endef

define install_units
mkdir -p '$(DESTDIR)$(UNITDIR)' '$(DESTDIR)$(USERDIR)'
install -m 0644 systemd/toros.sysusers.conf '$(DESTDIR)$(USERDIR)/toros.conf'
for unit in systemd/*.service systemd/*.target; do
    sed 's|@PREFIX@|$(PREFIX)|g' "$$unit" >'$(DESTDIR)$(UNITDIR)'/"$${unit##*/}"
    chmod 0644 '$(DESTDIR)$(UNITDIR)'/"$${unit##*/}"
done
endef

# Only on the machine itself: a package's scripts do this where it is installed, with sysusers.d.
define install_account
if [ -z '$(DESTDIR)' ] && [ "$$(id -u)" -eq 0 ]; then
    getent passwd toros >/dev/null || useradd --system --user-group --no-create-home \
        --home-dir /var/lib/toros --shell /usr/sbin/nologin toros
    chgrp toros '/etc/toros'/toros.conf.yaml*
    install -d -o toros -g toros -m 0750 /var/lib/toros /var/log/toros
    install -d -o toros -g toros -m 2770 /var/lib/toros/incoming
    if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
    case $$(readlink -f '$(PREFIX)/lib/toros/venv/bin/python') in
    /root/* | /home/*)
        echo "Warning: $(PYTHON) lies in a home folder, where the toros user cannot read." >&2
        echo "Install again with a Python of the system: make install PYTHON=/usr/bin/python3" >&2
        ;;
    esac
fi
endef

install:
	@umask 022
	$(need_python)
	$(install_venv)
	$(install_settings)
	$(install_units)
	$(install_account)
	echo "Installed: $$(cd '$(DESTDIR)$(PREFIX)/bin' && ls -d "$$PWD"/toros* | tr '\n' ' ')"
	echo "Settings:  $(DESTDIR)/etc/toros/toros.conf.yaml   (edit, then: toros config check)"
	echo "Units:     $(DESTDIR)$(UNITDIR)   (then: systemctl enable --now toros.target toros-preprocessor ...)"

uninstall:
	@if [ -z '$(DESTDIR)' ] && [ -d /run/systemd/system ]; then
	    for unit in systemd/*.service systemd/*.target; do
	        systemctl disable --now "$${unit##*/}" 2>/dev/null || true
	    done
	fi
	for unit in systemd/*.service systemd/*.target; do
	    rm -f '$(DESTDIR)$(UNITDIR)'/"$${unit##*/}"
	done
	rm -f '$(DESTDIR)$(USERDIR)/toros.conf'
	for command in '$(DESTDIR)$(PREFIX)'/lib/toros/venv/bin/toros*; do
	    rm -f '$(DESTDIR)$(PREFIX)/bin'/"$${command##*/}"
	done
	rm -rf '$(DESTDIR)$(PREFIX)/lib/toros' '$(DESTDIR)$(PREFIX)/share/toros'
	if [ -z '$(DESTDIR)' ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	echo 'Kept: /etc/toros, /var/lib/toros, /var/log/toros and the user toros.'

clean:
	@rm -rf .venv build dist *.egg-info docs/_build docs/reference/generated
	rm -rf .mypy_cache .ruff_cache .hypothesis .import_linter_cache .pytest_cache
	find toros tests docs benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
