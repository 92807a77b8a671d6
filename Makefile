# make demo    the main job on a bundled micrograph: in a window, or as files in demo/ where there is no screen
# make test    the whole test suite
# make lint    ruff, import-linter and mypy
# make docs    the pictures of the documentation
# make bench   how fast and how large it is beside the published order of operations (40 minutes)
# make bench-gpu   the same on a CUDA device, with what that device can do at most (80 seconds)
# Each sets up what it needs first (.venv, and the system libraries for Qt on Debian and Ubuntu).

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
STAMP := $(VENV)/.installed
export PYTHON

# Two test processes, each with whole files, one thread and a screen of its own: threads of both would wait for each other.
# Of the plugins of pytest those that the suite needs: of a package that brings one, each of its modules would be
# compiled anew for its own assertions.
PYTEST_ARGS ?= -n 2 --dist loadfile --no-loadscope-reorder --disable-plugin-autoload \
	-p xdist.plugin -p pytestqt.plugin -p napari.utils._testsupport -p npe2._pytest_plugin \
	-p _hypothesis_pytestplugin \
	$(if $(filter Linux,$(shell uname)),-p pytest_xvfb)

# Many tests start a Python of their own, which would compile the package each time where this is set.
unexport PYTHONDONTWRITEBYTECODE

# A virtual screen where there is no real one.
SCREEN := $(if $(DISPLAY)$(WAYLAND_DISPLAY),,xvfb-run -a -s "-screen 0 1600x1000x24")

.PHONY: demo test lint docs bench bench-gpu setup clean
.DEFAULT_GOAL := demo

demo: setup
ifeq ($(SCREEN),)
	$(BIN)/segany demo
else
	$(SCREEN) $(BIN)/segany demo --output demo
endif

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest $(PYTEST_ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

docs: setup
	$(SCREEN) $(BIN)/python scripts/make_pictures.py

bench: setup
	$(BIN)/python benchmarks/speed.py $(BENCH_ARGS)
	$(BIN)/python benchmarks/everything.py
	$(BIN)/python benchmarks/encoder_memory.py
	$(BIN)/python benchmarks/automatic_memory.py
	$(BIN)/python benchmarks/model_speed.py
	$(BIN)/python benchmarks/floor.py

bench-gpu: setup
	$(BIN)/python benchmarks/gpu.py --output gpu.json $(BENCH_ARGS)

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt scripts/system_libraries.sh scripts/make_venv.sh
	sh scripts/system_libraries.sh
	test -x $(BIN)/python || sh scripts/make_venv.sh $(VENV)
	$(PIP) install --quiet --constraint constraints.txt torch
	$(PIP) install --quiet --constraint constraints.txt --editable ".[all,test]"
	touch $(STAMP)

clean:
	rm -rf $(VENV) demo build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache
