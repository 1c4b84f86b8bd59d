# make demo   one image through the whole system, then everything is stopped again
# make up     the whole system stays until Ctrl-C
# make test   lint, types and all tests; FAST=1 for unit and contract tests only
# make test-deploy  deploy to an emulated AWS, use it, kill it, remove it: all of tests/deploy, and
#                   the steps on a cluster against a real API server
# make test-long  what `make test` leaves out: minutes each, and an otherwise idle machine
# make e2e-cluster CONTEXT=...  a burst from zero on a cluster whose namespace says it is for tests
# make burst  100 jobs at once, every one accounted for by its notice
# make manifests  everything for the cluster rendered and checked, without one; needs kubectl
# make crds   the definitions that it checks against, if they are not here
# make images the container images, with buildah, and a job through them; IMAGES='api ui ...'
# make lock-gpu  what the image for GPUs installs, resolved anew
# make lambda the zip of the API for Lambda; ARCH=arm64|x86_64|host PYTHON=3.13

PYTHON ?= python3.11
# `make lambda PYTHON=3.13` means Lambda's Python, not the one to install with.
INTERPRETER := $(if $(filter lambda,$(MAKECMDGOALS)),python3.11,$(PYTHON))
ARCH ?= arm64
# An environment of its own: it pins other versions of what we use.
CHECKOV := .cache/checkov/.installed
VENV := .venv
# Installed once for each state of what is to be installed.
STAMP := $(VENV)/.installed-$(shell cat pyproject.toml constraints.txt | cksum | cut -d' ' -f1)
PROMPT ?= a yellow circle above a green square on a blue background
JOBS ?= 100
# Empty where no definitions lie beside the checkout: then those of `make crds`.
CRD_DIR ?= $(wildcard ../shared/crds)
IMAGES ?= api bridge ui serve-cpu
IMAGE_TAG ?= $(shell git rev-parse --short HEAD)
# The local stack wants both cores for itself: its tests come last, one after another. All others run
# two at a time, what takes longest first; one process has the emulated AWS while the other has Ray.
STACK := tests/e2e tests/cluster
RAY := $(wildcard $(addprefix tests/integration/test_,serve_*.py batch.py spot.py)) \
	tests/faults/test_faults_chaos.py
HEAVY := tests/deploy $(RAY) \
	$(filter-out $(RAY),$(sort $(wildcard $(addsuffix /test_*.py,tests/faults tests/integration))))
PAIRED := $(if $(FAST),,$(HEAVY)) tests/contract tests/unit
PACKAGES := jobs records client api bridge serve_app gradio_ui loadtest darkroom

.DEFAULT_GOAL := help
.PHONY: help install demo up burst lambda openapi cost manifests crds images lock-gpu checkov test test-deploy test-long e2e-cluster lint fix clean

help:
	@sed -n 's/^# //p' Makefile

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@command -v $(INTERPRETER) >/dev/null || { echo "$(INTERPRETER) is missing: install Python 3.11, or say PYTHON=..." >&2; exit 2; }
	@echo "installing into $(VENV), some minutes and 3 GB the first time ..." >&2
	@test -x $(VENV)/bin/python || $(INTERPRETER) -m venv $(VENV)
	@$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt \
		-e '.[bridge,serve,ui,load,cluster,local,train,test,lint]'
	@rm -f $(VENV)/.installed-* && touch $@

demo: install
	@$(VENV)/bin/darkroom demo "$(PROMPT)"

up: install
	@$(VENV)/bin/darkroom up

burst: install
	@$(VENV)/bin/darkroom exec -- $(VENV)/bin/python -m loadtest --jobs $(JOBS)

lambda: install
	@$(VENV)/bin/python -m darkroom.lambda_zip --arch $(ARCH) \
		--python $(if $(filter command,$(firstword $(origin PYTHON))),$(PYTHON),3.13)

# The body of the REST API; a test holds it equal to the app.
openapi: install
	@$(VENV)/bin/python -m api.gateway >infra/terraform/openapi.json

cost: install
	@$(VENV)/bin/python -m darkroom.cost_page >docs/cost.md

manifests: install
	@CRD_DIR=$(CRD_DIR) $(VENV)/bin/python -m darkroom.cluster.validate
	@CRD_DIR=$(CRD_DIR) $(VENV)/bin/python -m darkroom.deploy.charts

crds: install
	@$(VENV)/bin/python -m darkroom.cluster.crd_files .cache/crds

# Then a job through all of them, if all are wanted.
images: install
	@TAG=$(IMAGE_TAG) docker/images.sh $(IMAGES)
	$(if $(filter-out $(IMAGES),api bridge ui serve-cpu),,@$(VENV)/bin/python docker/smoke.py $(IMAGE_TAG))

# Resolved for GPU nodes, wherever this runs, with the hash of every wheel; nothing is installed.
lock-gpu: install
	@$(VENV)/bin/python docker/requirements.py serve | $(VENV)/bin/uv pip compile - --quiet \
		--python-platform x86_64-manylinux_2_28 --python-version 3.11 --only-binary :all: \
		-c constraints.txt --generate-hashes --no-annotate \
		--custom-compile-command 'make lock-gpu' -o docker/serve-gpu.lock

checkov: $(CHECKOV)

$(CHECKOV): infra/terraform/checkov.txt | $(STAMP)
	@test -x $(@D)/bin/python || $(VENV)/bin/python -m venv $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

lint: install
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

test: lint $(if $(FAST),,$(CHECKOV))
	$(VENV)/bin/pytest -n 2 --dist loadgroup --no-loadscope-reorder $(PAIRED)
	$(if $(FAST),,$(VENV)/bin/pytest $(STACK))

test-deploy: install
	$(VENV)/bin/pytest -m "long or not long" tests/deploy tests/integration/test_deploy_cluster.py

test-long: install
	$(VENV)/bin/pytest -m long tests/integration

e2e-cluster: install
	@test -n "$(CONTEXT)" || { echo "say CONTEXT=..., a context of your kubeconfig" >&2; exit 2; }
	CONTEXT=$(CONTEXT) $(VENV)/bin/pytest -m "long or not long" tests/cluster

fix: install
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:
	rm -rf $(VENV) .cache out build *.egg-info .pytest_cache .mypy_cache .ruff_cache
