# Two commands are all that a newcomer needs: `make demo` and `make test`. Both set up first.

PYTHON ?= python3
VENV   ?= .venv
# Further pip arguments, for example a smaller CPU-only torch:
#   make demo PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PIP_ARGS ?=
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
DEV    := $(VENV)/.installed-dev

export PREFECT_SERVER_ANALYTICS_ENABLED ?= false
export GX_ANALYTICS_ENABLED ?= false
export DO_NOT_TRACK ?= 1

.PHONY: help demo test lint style format services docs bench bench-gpu clean

help:  ## show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "tidenet needs Python 3.11 to 3.13; found $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { echo "Creating a virtual environment failed; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(STAMP): $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing tidenet and what it needs into $(VENV) (a few minutes, once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e .
	@touch $@

$(DEV): $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "Installing tidenet and its test tools into $(VENV) (a few minutes, once) ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt -e '.[dev]'
	@touch $@ $(STAMP)

demo: $(STAMP)  ## the whole loop on synthetic data: local folder, SQLite, no services
	@$(BIN)/tidenet demo

# Two workers whose libraries each take every core hinder each other: one thread each is thrice as fast.
test: $(DEV) services style  ## lint, types and all tests
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup --durations 15

lint: style  ## ruff and mypy
	@$(BIN)/mypy

style: $(DEV)  ## ruff
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

format: $(DEV)  ## put the code into shape
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

# A real S3 server and PostGIS for the tests. Both come from Debian packages and need root; without
# them the tests use moto's server, skip those of PostGIS, and say so.
APT_INSTALL := DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends
services:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  command -v radosgw >/dev/null && ls /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1 \
	    || apt-get update -qq >/dev/null 2>&1 || true; \
	  command -v radosgw >/dev/null || { \
	    echo "Installing Ceph's S3 server for the tests ..."; \
	    $(APT_INSTALL) ceph-mon ceph-osd radosgw >/dev/null 2>&1 \
	      || echo "Ceph could not be installed: the tests use moto's S3 server."; }; \
	  ls /usr/share/postgresql/*/extension/postgis.control >/dev/null 2>&1 || { \
	    echo "Installing PostGIS for the tests ..."; \
	    [ -e /etc/postgresql-common/createcluster.conf ] || { mkdir -p /etc/postgresql-common; \
	      echo "create_main_cluster = false" > /etc/postgresql-common/createcluster.conf; }; \
	    $(APT_INSTALL) postgresql-postgis >/dev/null 2>&1 \
	      || echo "PostGIS could not be installed: its tests are skipped."; }; \
	fi

docs: $(DEV)  ## the SQL guide, the schema page and its picture
	@PYTHONPATH=. $(BIN)/python docs/make_sql.py

bench: $(DEV)  ## measure; results go to docs/benchmarks.md by hand, with machine and date
	@$(BIN)/python -m benchmarks

bench-gpu: $(DEV)  ## training and forecast speed on the GPU, or small on the CPU
	@$(BIN)/python -m benchmarks.train_and_forecast
	@$(BIN)/python -m benchmarks.upstream_speed

clean:  ## remove the virtual environment, the demo and caches
	rm -rf $(VENV) tidenet-demo .pytest_cache .mypy_cache .ruff_cache *.egg-info
