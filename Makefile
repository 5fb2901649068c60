# The front door. `make help` lists what there is; every target sets up what it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME_VENV := .venv-runtime
BENCH_VENV := .venv-bench
# Other runtimes, for the benchmarks alone: OpenVINO (Intel's), LiteRT (Google's, with the tool that
# quantises for it), ncnn (Tencent's). One that cannot be installed is named as missing.
RIVALS := openvino ai-edge-litert ai-edge-quantizer ncnn
# Packages of this one's shape, an onnxruntime around a model: what do they take to start?
NEIGHBOURS := piper-tts rembg[cpu] fastembed
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check

RUN_DIR ?= runs/digits
TRAIN_FLAGS ?=
MODEL_DIR ?= runs/model
SHIPPED := runtime/src/cgan_runtime/models/digits.onnx
# A test process a core, each with a torch of its own in half a gigabyte or more.
TEST_FLAGS := --numprocesses logical --maxprocesses 4 --dist loadfile --durations 20 \
	--durations-min 2
FUZZ_COUNT ?= 20000
FUZZ_PT_COUNT ?= 10000
FUZZ_GUIDED ?= 200000
FUZZ_SEED ?= 1
FUZZ_SUMMARY ?= docs/reliability/fuzz.jsonl
LOAD_MINUTES ?= 10
DEMO_DIR ?= demo
DEMO_MINUTES ?= 3
BENCH_FLAGS ?=
WEB_PORT ?= 8000
WEB_PACKAGES := web/node_modules/.installed

RUNTIME_FILES := runtime/pyproject.toml $(shell find runtime/src -type f -not -name '*.pyc')

.DEFAULT_GOAL := help
.PHONY: help setup demo train model test test-haswell test-arm64 test-pythons test-gpu fuzz faults \
	load mutation coverage lowest audit web test-web bench bench-quick lint format types clean

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

model: $(VENV)/.installed  ## make the model that ships again, from nothing: MNIST, two hours
	$(BIN)/cgan-train --recipe edge-long --dataset mnist --threads 1 --run-dir $(MODEL_DIR)-long
	$(BIN)/cgan-train --recipe edge-finish --start-from $(MODEL_DIR)-long --dataset mnist \
		--threads 1 --run-dir $(MODEL_DIR)
	$(BIN)/cgan-export $(MODEL_DIR) $(SHIPPED) --precision int8 --judge --card \
		--cache-dir benchmarks/models

test: $(VENV)/.installed  ## run every test, on all cores
	$(BIN)/python -m pytest $(TEST_FLAGS) $(PYTEST_FLAGS)

test-haswell: $(VENV)/.installed  ## the same bytes on an emulated x86-64 without VNNI (needs qemu)
	$(BIN)/python tests/emulated/processors.py haswell

test-arm64: $(VENV)/.installed  ## the same bytes on an emulated Cortex-A72 (needs qemu, debootstrap)
	$(BIN)/python tests/emulated/processors.py arm64

fuzz: $(VENV)/.installed  ## feed 40,000 damaged and hostile files to the commands; two hours
	$(BIN)/$(PIP_INSTALL) --group fuzz
	rm -f $(FUZZ_SUMMARY)
	for target in 'onnx --count $(FUZZ_COUNT)' 'model --count $(FUZZ_PT_COUNT)' \
		'checkpoint --count $(FUZZ_PT_COUNT)'; do $(BIN)/python tests/fuzz/fuzz.py $$target \
		--seed $(FUZZ_SEED) --summary $(FUZZ_SUMMARY) || exit 1; done
	$(BIN)/python tests/fuzz/guided.py --runs $(FUZZ_GUIDED) --seed $(FUZZ_SEED)

faults: $(VENV)/.installed  ## let every file operation of every command fail in every way; an hour
	$(BIN)/python tests/faults/faults.py --summary docs/reliability/faults.json

load: $(VENV)/.installed  ## draw under load for ten minutes, and check every answer
	$(BIN)/python tests/load/load.py --minutes $(LOAD_MINUTES) \
		--summary docs/reliability/load.json

mutation: $(VENV)/.installed  ## change what all rests on, a token at a time: do the tests notice? an hour
	$(BIN)/$(PIP_INSTALL) --group measure
	$(BIN)/python tests/measure/mutate.py

coverage: $(VENV)/.installed  ## run every test, and tell which lines and branches none reaches
	$(BIN)/$(PIP_INSTALL) --group measure
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -m "not uncovered" $(PYTEST_FLAGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python tests/measure/covered.py

lowest: $(VENV)/.installed  ## the pipeline with the oldest packages that are allowed; ten minutes
	$(BIN)/python tests/supply/lowest.py $(LOWEST_FLAGS)

audit: $(VENV)/.installed  ## ask pip-audit about known holes in all that is installed (needs the net)
	$(BIN)/$(PIP_INSTALL) --group audit
	$(BIN)/pip-audit --local --skip-editable --progress-spinner off

test-pythons:  ## the same digits in every Python from 3.10 to 3.14 that is on the PATH
	$(PYTHON) tests/emulated/pythons.py

test-gpu: $(VENV)/.installed  ## the pipeline on CUDA: train, export, draw, compare (needs a GPU)
	$(BIN)/python tests/gpu/pipeline.py

web: $(WEB_PACKAGES)  ## build the page that draws in a browser, and serve it on 127.0.0.1
	node web/build.mjs
	node web/serve.mjs $(WEB_PORT)

test-web: chromium $(VENV)/.installed $(WEB_PACKAGES)  ## drive that page in a real Chromium
	CGAN_PYTHON=$(BIN)/python node --test --test-reporter=spec web/test/*.test.mjs

bench: $(BENCH_VENV)/.installed  ## measure everything beside its rivals, ten minutes; writes docs/benchmarks
	$(BENCH_VENV)/bin/python benchmarks/everything.py $(BENCH_FLAGS)

bench-quick: $(BENCH_VENV)/.installed  ## the same in two minutes, without the pages
	$(BENCH_VENV)/bin/python benchmarks/everything.py --quick $(BENCH_FLAGS)

lint: $(VENV)/.installed  ## ruff, and ruff format in check mode
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.installed  ## let ruff write the code's layout
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed  ## mypy --strict
	$(BIN)/mypy

clean:  ## delete the environments and caches, not the runs
	rm -rf $(VENV) $(RUNTIME_VENV) $(BENCH_VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf web/node_modules web/dist

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

# The page's two packages, as web/package-lock.json pins them.
$(WEB_PACKAGES): web/package.json web/package-lock.json web/.npmrc | node
	cd web && npm ci
	touch $@

.PHONY: node chromium
node:
	@command -v node >/dev/null && command -v npm >/dev/null && \
		node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || \
		{ echo 'error: no node 18 or newer, or no npm; on Debian: apt install nodejs npm' >&2; exit 1; }

chromium: node
	@node web/test/chromium.mjs

# What the benchmarks compare with, apart from what is developed in. Each neighbour has a place of its
# own, so that its size can be told.
$(BENCH_VENV)/.installed: pyproject.toml constraints.txt training/pyproject.toml \
		export/pyproject.toml runtime/pyproject.toml | $(RUNTIME_VENV)/.installed
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/$(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(BENCH_VENV)/bin/$(PIP_INSTALL) --constraint constraints.txt \
		--editable training --editable 'runtime[cpu]' --editable export
	@for rival in $(RIVALS); do \
		$(BENCH_VENV)/bin/$(PIP_INSTALL) --constraint constraints.txt "$$rival" || \
		echo "$$rival cannot be installed here; the benchmarks name it as missing"; \
	done
	@for neighbour in $(NEIGHBOURS); do \
		place=$(BENCH_VENV)/neighbours/$${neighbour%[*}; \
		$(PYTHON) -m venv --clear --without-pip "$$place" && \
		$(BENCH_VENV)/bin/python -m pip --python "$$place/bin/python" install --quiet \
			--disable-pip-version-check --constraint constraints.txt "$$neighbour" || { \
		rm -rf "$$place"; \
		echo "$$neighbour cannot be installed here; the benchmarks name it as missing"; }; \
	done
	touch $@
