# Thin faces of `python -m seo_core.run …` (which works without make, too).
#
#   make book                     run every chapter under `quick`, render _build/html/index.html
#   make test                     ruff, pytest, then nbval, which runs each chapter also with its method broken
#   make check                    what takes a minute of it: ruff, and the tests that train nothing and run no chapter
#   make run PROFILE=cpu DATA=path/to/mnli SOURCE=path/to/snli SEEDS="0 1 2"
#   make lab                      JupyterLab, notebooks paired with their .py
#   make environment              make .venv, and run nothing
#   make clean                    remove _build (the results in _build/results stay)
#
# torch is installed first. pip takes the build your index offers; to choose one:
#   make book TORCH_INDEX=https://download.pytorch.org/whl/cpu      (or …/whl/cu126)
# To use an environment of your own instead of .venv: make book PY=python (nothing is installed; WordNet is prepared)

PYTHON ?= python3.11
TORCH_INDEX ?=
PROFILE ?= quick
DATA ?= default
MODEL ?= default
SOURCE ?= default
UNLABELLED ?= default
SEED ?= 0
SEEDS ?= $(SEED)
JOBS ?=
ARGS ?=

VENV := .venv
STAMP := $(VENV)/.installed
ifdef PY
ENVIRONMENT :=
else
PY := $(VENV)/bin/python
ENVIRONMENT := $(STAMP)
endif
RUN := $(PY) -m seo_core.run
TORCH_PIN := $(shell sed -n 's/^torch==/torch==/p' constraints.txt)

# Compiled modules are kept for the tests: each of many processes would compile all of seo_core again.
check test: export PYTHONDONTWRITEBYTECODE =

.PHONY: help book run test check lab clean environment wordnet
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//; 2,13p' Makefile

environment: wordnet

$(STAMP): constraints.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) not found: install Python 3.11, or name yours: make … PYTHON=/path/to/python3.11" >&2; exit 1; }
	test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) $(TORCH_PIN)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable ".[train,book,test,export,serve]"
	$(VENV)/bin/python -m seo_core.run setup
	@touch $(STAMP)

wordnet: $(ENVIRONMENT)  # every time: it may have been installed, or a network found, since the last one
	@$(PY) -m seo_core.run setup --wordnet

book: wordnet
	$(RUN) book --profile $(PROFILE) --seeds $(SEEDS) --data "$(DATA)" --model "$(MODEL)" --source "$(SOURCE)" \
		--unlabelled "$(UNLABELLED)" \
		$(if $(JOBS),--jobs $(JOBS)) $(ARGS)

run: book

check: $(ENVIRONMENT)
	$(PY) -m ruff check .
	$(RUN) sync --check
	$(PY) -m pytest tests -n auto --dist worksteal -m "not (trains or kernel or slow)"

test: wordnet
	$(PY) -m ruff check .
	$(RUN) sync --check
	$(PY) -m pytest tests -n auto --dist worksteal
	$(PY) -m pytest --nbval --nbval-current-env notebooks book/templates --nbval-sanitize-with tests/nbval_sanitize.cfg \
		-n auto --dist loadfile --no-loadscope-reorder

lab: wordnet
	$(RUN) lab $(ARGS)

clean:
	rm -rf _build/run _build/render _build/html _build/html-committed _build/failed _build/refresh
