# `make demo` runs the default experiment, `make miniature` every experiment of the publication at laptop scale, `make plan` reckons what
# a configuration costs on a GPU, `make test` is everything that a change must pass; all first build .venv.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

# A file of tests goes to one process, since its fixtures are shared; the order is that of tests/conftest.py.
SIDE_BY_SIDE := --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

.PHONY: bench calibration demo docs lint lock miniature plan search test test-fast verify

CONFIG ?= configs/paper.yaml

demo: .venv/main
	snakemake
	snakemake --report results/quickstart/report.html --report-stylesheet report/style.css
	@echo && cat results/quickstart/tables/main.md && echo && echo "Report: results/quickstart/report.html"

search: .venv/main
	snakemake --configfile configs/search.yaml
	@cat results/search/tables/main.md

miniature: .venv/main
	snakemake --configfile configs/miniature.yaml
	snakemake --configfile configs/miniature.yaml --report results/miniature/report.html --report-stylesheet report/style.css
	@echo && ls results/miniature/tables/*.md && echo "Report: results/miniature/report.html"

plan: .venv/main
	@PYTHONPATH=. python -m neft.workflow.estimate --configfile $(CONFIG)

.venv/main: envs/main.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --requirement envs/main.txt
	@touch $@

.venv/dev: .venv/main envs/dev.txt
	$(BIN)/python -m pip install --quiet --requirement envs/dev.txt
	@touch $@

lint: .venv/dev
	ruff check
	ruff format --check
	snakefmt --check Snakefile rules
	mypy
	snakemake --lint

test: lint
	sh tests/install-chromium.sh
	snakemake .venv-comet/ready
	sh tests/install-slurm.sh
	pytest $(SIDE_BY_SIDE)

test-fast: lint
	pytest $(SIDE_BY_SIDE) -m "not slow and not workflow"

# Rechecks every hash in results/ and says what was made by what.
verify: .venv/main
	@PYTHONPATH=. python -m neft verify

# Hours on a laptop CPU; each can be cut down (`python benchmarks/train_step.py --help`).
bench: .venv/main
	PYTHONPATH=. python benchmarks/train_step.py
	PYTHONPATH=. python benchmarks/similarity.py
	PYTHONPATH=. python benchmarks/utilization.py
	PYTHONPATH=. python benchmarks/generate.py

# Simulates whether the tests keep their level; needs the demo's data.
calibration: .venv/main
	PYTHONPATH=. python benchmarks/calibration.py

docs: .venv/main
	PYTHONPATH=. python -m neft.config.reference
	PYTHONPATH=. python -m neft.workflow.estimate --configfile configs/paper.yaml --into docs/reproduction.md
	python tools/draw_dag.py

# New pins: installs what pyproject.toml asks for into a fresh environment and writes down what came.
lock:
	$(PYTHON) tools/lock.py
