# Everything happens in .venv, which is made (and made again when the dependencies change) by
# whatever needs it.
#
#   make demo          forget five people, see runs/demo/report.html
#   make test          all tests but the slow ones
#
# PyPI's torch for Linux is a CUDA build. Without a GPU, the CPU build saves gigabytes:
#   make demo TORCH="torch==2.13.0 --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
TORCH ?= torch==2.13.0
VENV := .venv
READY := $(VENV)/.ready
BIN := $(VENV)/bin

.PHONY: help venv demo test test-full lint clean

help:
	@echo "make demo       forget five people; report in runs/demo/report.html"
	@echo "make test       all tests but the slow ones"
	@echo "make test-full  all tests"
	@echo "make lint       ruff and mypy"
	@echo "make clean      remove .venv, caches and runs/demo"

venv $(VENV): $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "unsee needs Python 3.11 or newer as '$(PYTHON)': install it, or say make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -c 'import ensurepip, venv' || \
		{ echo "'$(PYTHON)' cannot make virtual environments: apt install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(TORCH)
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	@touch $(READY)

demo: $(READY)
	$(BIN)/unsee demo

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" -n auto --maxprocesses 8 --dist loadfile

test-full: $(READY)
	$(BIN)/python -m pytest -n auto --maxprocesses 8 --dist loadfile

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist runs/demo src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
