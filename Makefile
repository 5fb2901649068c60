# The front door. `make help` lists what there is; every target sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME_VENV := .venv-runtime
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check

RUN_DIR ?= runs/digits
TRAIN_FLAGS ?=
MODEL_DIR ?= runs/model
MODEL_EPOCHS ?= 90
SHIPPED := runtime/src/cgan_runtime/models/digits.onnx
FUZZ_COUNT ?= 20000
FUZZ_GUIDED ?= 200000
FUZZ_SEED ?= 1
FUZZ_SUMMARY ?= docs/reliability/fuzz.jsonl
DEMO_DIR ?= demo
DEMO_MINUTES ?= 3.5

RUNTIME_FILES := runtime/pyproject.toml $(shell find runtime/src -type f -not -name '*.pyc')

.DEFAULT_GOAL := help
.PHONY: help setup demo train model test test-haswell test-arm64 fuzz faults bench lint format types clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */\1\t/' | expand -t 14

setup: $(VENV)/.installed  ## make .venv: the three packages, editable, and the tools

demo: $(VENV)/.installed $(RUNTIME_VENV)/.installed  ## train briefly, export, draw without torch
	rm -rf $(DEMO_DIR)
	$(BIN)/cgan-train --run-dir $(DEMO_DIR) --minutes $(DEMO_MINUTES) $(TRAIN_FLAGS)
	$(BIN)/cgan-export $(DEMO_DIR)/model.pt $(DEMO_DIR)/digits.onnx
	$(RUNTIME_VENV)/bin/cgan-run --model $(DEMO_DIR)/digits.onnx --digits 0123456789 --count 10 \
		--seed 1 --scale 3 --output $(DEMO_DIR)/digits.png
	@echo
	@echo "Drawn by onnxruntime in $(RUNTIME_VENV), where there is no torch."
	@echo "Look at the picture: $(DEMO_DIR)/digits.png"

train: $(VENV)/.installed  ## train the default recipe into runs/digits
	$(BIN)/cgan-train --run-dir $(RUN_DIR) $(TRAIN_FLAGS)

model: $(VENV)/.installed  ## make the model that ships again, from nothing: MNIST, half an hour
	$(BIN)/cgan-train --recipe edge --epochs $(MODEL_EPOCHS) --dataset mnist --threads 1 \
		--run-dir $(MODEL_DIR)
	$(BIN)/cgan-export $(MODEL_DIR) $(SHIPPED) --precision int8 --judge --card

test: $(VENV)/.installed  ## run every test
	$(BIN)/python -m pytest $(PYTEST_FLAGS)

test-haswell: $(VENV)/.installed  ## the same bytes on an emulated x86-64 without VNNI (needs qemu)
	$(BIN)/python tests/emulated/processors.py haswell

test-arm64: $(VENV)/.installed  ## the same bytes on an emulated Cortex-A72 (needs qemu, debootstrap)
	$(BIN)/python tests/emulated/processors.py arm64

fuzz: $(VENV)/.installed  ## feed 60,000 damaged and hostile files to the commands; hours
	$(BIN)/$(PIP_INSTALL) --group fuzz
	rm -f $(FUZZ_SUMMARY)
	for target in onnx model checkpoint; do $(BIN)/python tests/fuzz/fuzz.py $$target \
		--count $(FUZZ_COUNT) --seed $(FUZZ_SEED) --summary $(FUZZ_SUMMARY) || exit 1; done
	$(BIN)/python tests/fuzz/guided.py --runs $(FUZZ_GUIDED) --seed $(FUZZ_SEED)

faults: $(VENV)/.installed  ## let every file operation of every command fail in every way; an hour
	$(BIN)/python tests/faults/faults.py --summary docs/reliability/faults.json

bench: $(VENV)/.installed  ## measure training speed against the loop as it is usually written
	$(BIN)/python benchmarks/training_speed.py

lint: $(VENV)/.installed  ## ruff, and ruff format in check mode
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed  ## let ruff write the code's layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed  ## mypy --strict
	$(BIN)/mypy

clean:  ## delete the environments and caches, not the runs
	rm -rf $(VENV) $(RUNTIME_VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(VENV)/.installed: pyproject.toml constraints.txt training/pyproject.toml export/pyproject.toml \
		runtime/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(BIN)/$(PIP_INSTALL) --constraint constraints.txt --group dev \
		--editable 'training[tensorboard]' --editable 'runtime[cpu]' --editable export
	touch $@

# What an edge device gets: the wheel, onnxruntime, and no torch.
$(RUNTIME_VENV)/.installed: constraints.txt $(RUNTIME_FILES)
	$(PYTHON) -m venv --clear $(RUNTIME_VENV)
	rm -rf dist/demo
	$(RUNTIME_VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
		--wheel-dir dist/demo ./runtime
	$(RUNTIME_VENV)/bin/$(PIP_INSTALL) --constraint constraints.txt "$$(ls dist/demo/*.whl)[cpu]"
	touch $@
