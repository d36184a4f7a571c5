# The one front door. `make demo` and `make test` set everything up by themselves.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# How many tests run at once: most of them wait for brokers, cameras and deadlines.
WORKERS ?= 2
SOURCES := $(shell find edged tools models device-profiles systemd -type f -not -path '*/__pycache__/*' 2>/dev/null)

.PHONY: help demo test test-fast test-arm64 coverage check lint types layers format bench docs models soak wheel clean

help:  ## what there is
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

demo: $(VENV)/.installed  ## the main job on this machine: camera and sensor to MQTT
	$(BIN)/edged demo $(ARGS)

test: $(VENV)/.installed  ## every test, on the installed wheel
	$(BIN)/pytest -p no:cacheprovider -n $(WORKERS) --dist loadfile $(ARGS)

test-fast: $(VENV)/.installed  ## the tests that need no real processes, brokers or models
	$(BIN)/pytest -p no:cacheprovider -m "not slow" $(ARGS)

check: lint types layers  ## lint, types, layers, dependencies

lint: $(VENV)/.ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/deptry .

types: $(VENV)/.ready
	$(BIN)/mypy

layers: $(VENV)/.ready
	PYTHONPATH=.:tools $(BIN)/lint-imports

format: $(VENV)/.ready  ## put the code into its form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.installed  ## write the generated reference pages
	$(BIN)/python docs/generate.py

coverage: $(VENV)/.installed  ## branch coverage of the decisions by the quick tests: 100 % is asked
	$(BIN)/pytest -q -p no:cacheprovider -m "not slow" --cov --cov-report= $(ARGS)
	$(BIN)/coverage report --fail-under=100 \
		--include='*/edged/domain/*,*/edged/control/*,*/edged/update/*,*/edged/pipeline/*,*/edged/config/*,*/edged/telemetry/*,*/edged/daemon.py'

test-arm64: $(VENV)/.installed  ## the wheel on 64-bit Arm Debian under emulation (root, debootstrap, qemu-user-static)
	$(BIN)/python tools/arm64.py

bench: $(VENV)/.installed  ## the figures, measured here, into benchmarks/RESULTS.md
	$(BIN)/python benchmarks/run.py $(ARGS)

models: $(VENV)/.installed  ## make the shipped models again in build/models and compare; BUNDLES="vibration" for some of them (all: an hour)
	$(BIN)/python tools/remake.py --python "$(PYTHON)" $(if $(VENV_MODELS),--venv "$(VENV_MODELS)") $(BUNDLES)

soak: $(VENV)/.installed  ## what takes hours: a million frames and a million requests (`make test` runs a tenth of it), kills in every state, measuring
	EDGED_SOAK_FRAMES=1000000 $(BIN)/pytest -p no:cacheprovider tests/e2e/test_soak.py tests/e2e/test_measuring.py tests/e2e/test_governor.py tests/update/test_killed.py \
		tests/update/test_ext4.py tests/fleet/test_outbox_ext4.py tests/update/test_failing_calls.py $(ARGS)
	EDGED_SOAK_INPUTS=1000000 EDGED_SOAK_CYCLES=50 EDGED_SOAK_EXAMPLES=100 $(BIN)/pytest -p no:cacheprovider tests/api $(ARGS)
	EDGED_SOAK_BOXES=1000 $(BIN)/pytest -p no:cacheprovider tests/tools/test_fleet_simulate.py $(ARGS)

wheel: $(VENV)/.ready  ## build the wheel into dist/
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null

# The environment: everything but edged itself.
$(VENV)/.ready: pyproject.toml constraints.txt tools/requirements.sh
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh tools/requirements.sh
	@touch $@

# edged itself as users have it: a wheel, built anew when a source changed.
$(VENV)/.installed: $(VENV)/.ready $(SOURCES)
	rm -rf dist
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	$(BIN)/pip install --quiet --no-deps --force-reinstall dist/edged-*.whl
	@touch $@

clean:  ## remove what was built
	rm -rf $(VENV) dist build
