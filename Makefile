# `make help` lists the targets. Each target creates the Python environment that it needs.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
RUNTIME_VENV := .venv-runtime
BENCH_VENV := .venv-bench
# Other runtimes in the benchmarks: OpenVINO (Intel), LiteRT and its quantizer (Google), ncnn
# (Tencent). A benchmark reports a runtime as missing if it cannot be installed.
OTHER_RUNTIMES := openvino ai-edge-litert ai-edge-quantizer ncnn
# Packages that also wrap onnxruntime around a model, for the startup benchmark.
COMPARABLE_PACKAGES := piper-tts rembg[cpu] fastembed
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check

TRAIN_FLAGS ?=
PYTEST_FLAGS ?=
LOWEST_FLAGS ?=
VERSION ?=
MODEL_DIR ?= runs/model
SHIPPED := runtime/src/cgan_runtime/models/digits.onnx
# One process per core, but at most four: each imports PyTorch, which takes 0.5 GB or more.
TEST_FLAGS ?= --numprocesses logical --maxprocesses 4 --dist loadfile --durations 20 \
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
.PHONY: help setup lock demo train model test test-haswell test-arm64 test-pythons test-gpu fuzz faults \
	load mutation coverage lowest audit dist docs pictures web test-web bench bench-quick lint format types clean

help:  ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## */\1\t/' | expand -t 14

setup: $(VENV)/.installed  ## create .venv with the three packages (editable) and the tools

demo: $(VENV)/.installed $(RUNTIME_VENV)/.installed  ## train briefly, export, generate without PyTorch
	rm -rf $(DEMO_DIR)
	$(BIN)/cgan-train --run-dir $(DEMO_DIR) --minutes $(DEMO_MINUTES) $(TRAIN_FLAGS)
	$(BIN)/cgan-export $(DEMO_DIR)/model.pt $(DEMO_DIR)/digits.onnx
	$(RUNTIME_VENV)/bin/cgan-run --model $(DEMO_DIR)/digits.onnx --digits 0123456789 --count 10 \
		--seed 1 --scale 3 --output $(DEMO_DIR)/digits.png
	@echo
	@echo "onnxruntime in $(RUNTIME_VENV) generated the images; PyTorch is not installed there."
	@echo "Open the picture: $(DEMO_DIR)/digits.png"

train: $(VENV)/.installed  ## train on MNIST, into runs/mnist
	$(BIN)/cgan-train $(TRAIN_FLAGS)

model: $(VENV)/.installed  ## train, export and replace the shipped model (two hours)
	$(BIN)/cgan-train --recipe edge-long --dataset mnist --threads 1 --run-dir $(MODEL_DIR)-long
	$(BIN)/cgan-train --recipe edge-finish --start-from $(MODEL_DIR)-long --dataset mnist \
		--threads 1 --run-dir $(MODEL_DIR)
	$(BIN)/cgan-export $(MODEL_DIR) $(SHIPPED) --precision int8 --evaluate --card \
		--cache-dir benchmarks/models

test: $(VENV)/.installed  ## run all tests, in up to four processes
	$(BIN)/python -m pytest $(TEST_FLAGS) $(PYTEST_FLAGS)

test-haswell: $(VENV)/.installed  ## check the images of an emulated x86-64 without VNNI (needs qemu)
	$(BIN)/python tests/emulated/processors.py haswell

test-arm64: $(VENV)/.installed  ## check the images of an emulated Cortex-A72 (needs qemu, debootstrap)
	$(BIN)/python tests/emulated/processors.py arm64

test-pythons:  ## check that each Python 3.10 to 3.14 on the PATH generates the same images
	$(PYTHON) tests/emulated/pythons.py

test-gpu: $(VENV)/.installed  ## train, export, generate and compare on CUDA (needs a GPU)
	$(BIN)/python tests/gpu/pipeline.py

fuzz: $(VENV)/.installed  ## feed damaged and hostile files to commands, then fuzz guided by coverage (two hours)
	$(BIN)/$(PIP_INSTALL) --group fuzz
	rm -f $(FUZZ_SUMMARY)
	for target in 'onnx --count $(FUZZ_COUNT)' 'model --count $(FUZZ_PT_COUNT)' \
		'checkpoint --count $(FUZZ_PT_COUNT)'; do $(BIN)/python tests/fuzz/fuzz.py $$target \
		--seed $(FUZZ_SEED) --summary $(FUZZ_SUMMARY) || exit 1; done
	$(BIN)/python tests/fuzz/guided.py --runs $(FUZZ_GUIDED) --seed $(FUZZ_SEED)

faults: $(VENV)/.installed  ## inject a fault into every file operation of every command (an hour)
	$(BIN)/python tests/faults/faults.py --summary docs/reliability/faults.json

load: $(VENV)/.installed  ## generate under load for ten minutes, and check every image
	$(BIN)/python tests/load/load.py --minutes $(LOAD_MINUTES) \
		--summary docs/reliability/load.json

mutation: $(VENV)/.installed  ## mutate the critical modules, and count detected changes (an hour)
	$(BIN)/$(PIP_INSTALL) --group measure
	$(BIN)/python tests/measure/mutation.py

coverage: $(VENV)/.installed  ## measure which lines and branches the tests cover
	$(BIN)/$(PIP_INSTALL) --group measure
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -m "not skip_under_coverage" $(PYTEST_FLAGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python tests/measure/coverage_report.py

lowest: $(VENV)/.installed  ## run the pipeline with the oldest allowed packages (ten minutes)
	$(BIN)/python tests/supply/lowest.py $(LOWEST_FLAGS)

lock: $(VENV)/.installed  ## write requirements.lock, the hashes of what setup installs (needs a network)
	$(BIN)/$(PIP_INSTALL) --group lock
	$(BIN)/python tests/supply/lock.py

audit: $(VENV)/.installed  ## check all installed packages for known vulnerabilities (needs a network)
	$(BIN)/$(PIP_INSTALL) --group audit
	$(BIN)/pip-audit --local --skip-editable --progress-spinner off

docs: $(VENV)/.installed  ## build the documentation site into dist/docs
	$(BIN)/$(PIP_INSTALL) --constraint constraints.txt --group docs
	$(BIN)/python -m sphinx --quiet -W --keep-going -n --jobs auto docs dist/docs

pictures: chromium $(VENV)/.installed $(WEB_PACKAGES)  ## remake the pictures whose inputs changed
	$(BIN)/python benchmarks/pictures.py

web: $(WEB_PACKAGES)  ## build the web page, and serve it on 127.0.0.1
	node web/build.mjs
	node web/serve.mjs $(WEB_PORT)

test-web: chromium $(VENV)/.installed $(WEB_PACKAGES)  ## test the web page in Chromium
	CGAN_PYTHON=$(BIN)/python node --test --test-reporter=spec web/test/*.test.mjs

# Each wheel is built from its sdist, which shows that the sdist is complete.
dist: $(VENV)/.installed  ## build and check the sdists and wheels of the three packages
	$(BIN)/$(PIP_INSTALL) --group dist
	rm -rf dist/packages
	for package in runtime training export; do \
		$(BIN)/python -m build --quiet --outdir dist/packages $$package || exit 1; done
	$(BIN)/python -m twine check --strict dist/packages/*
	@if [ -n "$(VERSION)" ] && [ "$$(ls dist/packages/*-$(VERSION).tar.gz 2>/dev/null | wc -l)" != 3 ]; then \
		echo 'error: the packages do not have version $(VERSION); correct it or __version__' >&2; exit 1; fi

bench: $(BENCH_VENV)/.installed  ## run the benchmarks of run_all.py (ten minutes); writes docs/benchmarks
	$(BENCH_VENV)/bin/python benchmarks/run_all.py $(BENCH_FLAGS)

bench-quick: $(BENCH_VENV)/.installed  ## run them in two minutes, without writing pages
	$(BENCH_VENV)/bin/python benchmarks/run_all.py --quick $(BENCH_FLAGS)

lint: $(VENV)/.installed  ## check code, layout and imports (ruff, import-linter)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache --no-logo

format: $(VENV)/.installed  ## format the code with ruff
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.installed  ## check types with mypy --strict
	$(BIN)/mypy

clean:  ## delete environments, caches and build outputs, but not the runs
	rm -rf $(VENV) $(RUNTIME_VENV) $(BENCH_VENV) dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	rm -rf web/node_modules web/dist

$(VENV)/.installed: pyproject.toml constraints.txt requirements.lock training/pyproject.toml \
		export/pyproject.toml runtime/pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/$(PIP_INSTALL) --require-hashes --no-deps --only-binary :all: \
		--requirement requirements.lock
	$(BIN)/$(PIP_INSTALL) --no-build-isolation --constraint constraints.txt --group dev \
		--editable 'training[tensorboard]' --editable 'runtime[cpu]' --editable export
	touch $@

# The environment of an edge device: the wheel and onnxruntime, without PyTorch.
$(RUNTIME_VENV)/.installed: constraints.txt $(RUNTIME_FILES)
	$(PYTHON) -m venv --clear $(RUNTIME_VENV)
	rm -rf dist/demo
	$(RUNTIME_VENV)/bin/python -m pip wheel --quiet --disable-pip-version-check --no-deps \
		--wheel-dir dist/demo ./runtime
	$(RUNTIME_VENV)/bin/$(PIP_INSTALL) --constraint constraints.txt "$$(ls dist/demo/*.whl)[cpu]"
	touch $@

# The web page's packages, in the versions of web/package-lock.json.
$(WEB_PACKAGES): web/package.json web/package-lock.json web/.npmrc | node
	cd web && npm ci
	touch $@

.PHONY: node chromium
node:
	@command -v node >/dev/null && command -v npm >/dev/null && \
		node -e 'process.exit(parseInt(process.versions.node) < 18 ? 1 : 0)' || \
		{ echo 'error: node 18 or newer, or npm, is missing; on Debian run: apt install nodejs npm' >&2; exit 1; }

chromium: node
	@node web/test/chromium.mjs

# Each comparable package gets an environment of its own, so that its size can be measured.
$(BENCH_VENV)/.installed: pyproject.toml constraints.txt training/pyproject.toml \
		export/pyproject.toml runtime/pyproject.toml | $(RUNTIME_VENV)/.installed
	$(PYTHON) -m venv $(BENCH_VENV)
	$(BENCH_VENV)/bin/$(PIP_INSTALL) --upgrade 'pip>=25.1'
	$(BENCH_VENV)/bin/$(PIP_INSTALL) --constraint constraints.txt \
		--editable training --editable 'runtime[cpu]' --editable export
	@for package in $(OTHER_RUNTIMES); do \
		$(BENCH_VENV)/bin/$(PIP_INSTALL) --constraint constraints.txt "$$package" || \
		echo "$$package cannot be installed; the benchmarks report it as missing"; \
	done
	@for package in $(COMPARABLE_PACKAGES); do \
		path=$(BENCH_VENV)/packages/$${package%[*}; \
		$(PYTHON) -m venv --clear --without-pip "$$path" && \
		$(BENCH_VENV)/bin/python -m pip --python "$$path/bin/python" install --quiet \
			--disable-pip-version-check --constraint constraints.txt "$$package" || { \
		rm -rf "$$path"; \
		echo "$$package cannot be installed; the benchmarks report it as missing"; }; \
	done
	touch $@
