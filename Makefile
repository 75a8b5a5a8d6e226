# For a person: run, test. For a developer: check, bench.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: run test test-v2 check bench clean

# A daemon with its state in a folder of its own, the main job, and nothing left behind.
run: $(INSTALLED)
	@PATH="$(CURDIR)/$(BIN):$$PATH" scripts/demo.sh

test: $(INSTALLED)
	@busybox true 2>/dev/null || scripts/packages.sh busybox-static
	$(BIN)/pytest $(TESTS)

# The same on Debian's kernel with cgroup v2 only, in a virtual machine (python -m tests.vm).
test-v2: $(INSTALLED)
	@busybox true 2>/dev/null || scripts/packages.sh busybox-static
	@command -v mke2fs >/dev/null || scripts/packages.sh e2fsprogs
	$(BIN)/python -m tests.vm $(TESTS)

check: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

# make bench A=unix:///run/pinnace.sock B=unix:///var/run/docker.sock
bench: $(INSTALLED)
	$(BIN)/python bench/run.py $(A) $(B)

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV) || { scripts/packages.sh python3-venv && $(PYTHON) -m venv $(VENV); }
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
