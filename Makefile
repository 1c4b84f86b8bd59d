# make demo   one image through the whole system, then everything is stopped again
# make up     the whole system stays until Ctrl-C
# make test   lint, types and all tests; FAST=1 for unit and contract tests only
# make burst  100 jobs at once, every one accounted for by its notice

PYTHON ?= python3.11
VENV := .venv
# Installed once for each state of what is to be installed.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
PROMPT ?= a large yellow star on a blue background
JOBS ?= 100
TESTS := $(if $(FAST),tests/unit tests/contract,tests)
PACKAGES := jobs records client api bridge serve_app gradio_ui loadtest darkroom

.DEFAULT_GOAL := help
.PHONY: help install demo up burst test lint fix clean

help:
	@sed -n 's/^# //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "$(PYTHON) is missing: install Python 3.11, or say PYTHON=..." >&2; exit 2; }
	@echo "installing into $(VENV), some minutes and 3 GB the first time ..." >&2
	@test -x $(VENV)/bin/python || $(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[bridge,serve,ui,load,local,train,test,lint]'
	@rm -f $(VENV)/.installed-* && touch $@

demo: install
	@$(VENV)/bin/darkroom demo "$(PROMPT)"

up: install
	@$(VENV)/bin/darkroom up

burst: install
	@$(VENV)/bin/darkroom exec -- $(VENV)/bin/python -m loadtest --jobs $(JOBS)

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: lint
	$(VENV)/bin/pytest $(TESTS)

fix: install
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) .cache out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
