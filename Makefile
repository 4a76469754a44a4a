# `make help` says what there is. Everything runs in one virtual environment, filled once.
#
# Which environment: VENV=... if given; else the active one (VIRTUAL_ENV, or a conda environment other than `base`);
# else .venv or .venv-onedl here. It is created if missing. What an existing one already holds is kept where it is in
# the ranges of setup.cfg (its torch always); only missing packages are added.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
STACK ?= openmmlab
# The one place that pins torch. mmcv is compiled against it, so it is read when an environment is first filled.
TORCH ?= torch==2.9.1 torchvision==0.24.1
CORES := $(shell env -u OMP_NUM_THREADS nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
# Test processes; each runs single-threaded and takes about 1 GB.
WORKERS ?= $(shell [ $(CORES) -lt 4 ] && echo $(CORES) || echo 4)
PYTEST_ARGS ?=
DEMO_ARGS ?=
CARD_ARGS ?=

ifeq ($(filter $(STACK),openmmlab onedl),)
$(error STACK is '$(STACK)'; expected openmmlab (the reference) or onedl (the maintained fork))
endif
ifeq ($(origin VENV),undefined)
ifdef VIRTUAL_ENV
VENV := $(VIRTUAL_ENV)
else ifneq ($(filter-out base,$(CONDA_DEFAULT_ENV)),)
VENV := $(CONDA_PREFIX)
else
VENV := $(if $(filter onedl,$(STACK)),.venv-onedl,.venv)
endif
endif

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install
# mmcv's requirement as setup.cfg states it, and what must not lie beside this stack.
MMCV := $(shell sed -n 's/^ *\(\(onedl-\)\{0,1\}mmcv[<>=].*\)/\1/p' setup.cfg | grep $(if $(filter onedl,$(STACK)),,-v) '^onedl')
OTHER := $(if $(filter onedl,$(STACK)),mmengine,onedl-mmengine)
RUFF := $(shell sed -n 's/^ *\(ruff[<>=].*\)/\1/p' setup.cfg)

# A stamp marks a filled environment. It names this checkout: another one installs itself anew.
STAMP := $(VENV)/.mmlgd-$(STACK)
ifneq ($(shell cat '$(STAMP)' 2>/dev/null),$(CURDIR))
.PHONY: $(STAMP)
endif

.PHONY: help setup demo test docs lint format audit card-wheels card clean
help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20
	@echo
	@echo "  STACK=openmmlab|onedl   the reference stack, or its maintained fork (now: $(STACK))"
	@echo "  VENV=DIR                the environment (now: $(VENV)); created if missing"
	@echo "  PYTHON=python3.11       the interpreter that creates it (now: $(PYTHON))"
	@echo "  TORCH='$(TORCH)'   for a new environment"
	@echo "  PYTEST_ARGS=, WORKERS=, DEMO_ARGS=, CARD_ARGS=   passed on"

setup: $(STAMP) ## create the environment and install everything (once)

demo: $(STAMP) ## a teacher, a student and the small rendered world: the whole method in minutes
	$(BIN)/python tools/demo $(DEMO_ARGS)

# Several single-threaded workers beat one with many threads: the tensors are tiny.
test: $(STAMP) ## the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGS)

docs: $(STAMP) ## the pages as a site, in build/docs; a warning is an error
	$(BIN)/python -m sphinx -q -W --keep-going -b html -c docs . build/docs
	@echo "== build/docs/index.html"

lint: $(BIN)/ruff ## ruff, as pre-commit and CI run it
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(BIN)/ruff ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Not in CI: it asks the advisories of PyPI, which change while the code does not. --strict: a package that they do not
# answer for, as without a network, is a failure and not a line in a table. Versions without a local part (+cu128) are theirs.
audit: $(STAMP) ## known vulnerabilities of what is installed; needs the network
	mkdir -p build
	$(BIN)/python -m pip list --format=freeze --exclude-editable | sed 's/+.*//' > build/audit.txt
	$(BIN)/python -m pip_audit --strict --no-deps --disable-pip -r build/audit.txt

# For a machine with a GPU and no network: its own Python and torch, the checkout, and these wheels.
CARD := .venv-card
WHEELS := build/card-wheels
card-wheels: ## what `make card` needs beside the checkout, where there is a network
	$(PYTHON) tools/benchmarks/card_wheels.py --out $(WHEELS)

# The environment sees what $(PYTHON) sees, which --system-site-packages does not do where that is an environment itself.
# addsitedir also reads its .pth files: setuptools brings distutils back by one, which mmengine imports.
# pip of $(PYTHON) installs into it: the machine may have no ensurepip.
card: ## on a GPU without a network: tests of a card, all benchmarks, a real run, within nine minutes
	@ls $(WHEELS)/*.whl > /dev/null || { \
	  echo "No wheels in $(WHEELS). Run 'make card-wheels' where there is a network, and bring the folder here."; exit 1; }
	$(PYTHON) -m venv --clear --without-pip $(CARD)
	$(PYTHON) -c 'import site; [print(f"import site; site.addsitedir({at!r})") for at in site.getsitepackages()]' \
	  > "$$(echo $(CARD)/lib/python*/site-packages)/machine.pth"
	$(PYTHON) -m pip --python $(CARD)/bin/python install -q --no-index --no-deps $(WHEELS)/*.whl
	$(PYTHON) -m pip --python $(CARD)/bin/python install -q --no-index --no-deps --no-build-isolation -e .
	$(CARD)/bin/python tools/benchmarks/card.py $(CARD_ARGS)

clean: ## remove build products and caches (environments and work_dirs stay)
	rm -rf build dist .pytest_cache .ruff_cache .hypothesis
	find mmlgd tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(BIN)/python:
	@echo "== creating $(VENV) with $(PYTHON)"
	$(PYTHON) -m venv '$(VENV)'

$(BIN)/ruff: | $(BIN)/python
	$(PIP) -q '$(RUFF)'

# pip keeps what it has built, also for another torch: --no-cache-dir.
# mmcv's 80 sources spend most of their time on torch's headers: GCC parses these once, into a precompiled header.
# Where the flags do not match those of the build, GCC reads the header as text, and all takes three times as long.
ifeq ($(origin CXX),default)
CXX := c++
endif
HEADER := $(abspath $(VENV))/torch_header.h
CXX_FLAGS = $(CFLAGS) -w -fPIC -std=c++17 -DTORCH_API_INCLUDE_EXTENSION_H -DTORCH_EXTENSION_NAME=_ext \
  $(shell $(BIN)/python -W ignore -c \
    "from torch.utils.cpp_extension import include_paths as i; print(*map('-I{}'.format, i()))" 2>/dev/null)
.PHONY: mmcv-from-source
mmcv-from-source:
	@echo "   no wheel fits this Python and torch: compiling mmcv's C++ ops, a few minutes on two cores"
	@echo '#include <torch/types.h>' > '$(HEADER)'
	$(CXX) --version | grep -q 'Free Software' \
	  && $(CXX) $(CXX_FLAGS) -x c++-header '$(HEADER)' -o '$(HEADER).gch' || rm -f '$(HEADER).gch'
	CFLAGS='$(CFLAGS) -w -include $(HEADER)' $(PIP) -q --no-build-isolation --no-cache-dir '$(MMCV)'
	@rm -f '$(HEADER)' '$(HEADER).gch'

# Bytecode is left to the first import of each module: compiling all of torch up front costs half a minute.
$(STAMP): export PIP_NO_COMPILE := 1
$(STAMP): export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Without the flags mmcv's ops take four times as long to compile; the demo and the tests feel no difference.
$(STAMP): export MMCV_WITH_OPS := 1
$(STAMP): export CFLAGS := -g0 -O1
$(STAMP): export MAX_JOBS := $(CORES)
$(STAMP): setup.cfg setup.py | $(BIN)/python
	@rm -f '$@'
	@! $(BIN)/python -m pip show -q $(OTHER) 2>/dev/null || { \
	  echo "$(VENV) holds $(OTHER), which clashes with STACK=$(STACK) (same import names)." \
	       "Deactivate it or choose another: make ... VENV=.venv-$(STACK)"; exit 1; }
	@echo "== 1/4 pip, setuptools, ninja (in $(VENV))"
	$(PIP) -q 'pip>=24' 'setuptools>=77,<82' wheel ninja
	@echo "== 2/4 torch: some 3 GB to download, a minute or two"
	$(BIN)/python -c 'import torch, torchvision' 2>/dev/null || $(PIP) -q $(TORCH)
	@echo "== 3/4 $(MMCV)"
	$(PIP) -q --only-binary mmcv,onedl-mmcv '$(MMCV)' 2>/dev/null || $(MAKE) --no-print-directory mmcv-from-source
	$(BIN)/python -c 'import mmcv.ops'
	@echo "== 4/4 the $(STACK) stack, detection, segmentation, the ConSE teacher, test tools, mmlgd itself"
	$(PIP) -q -e '.[$(STACK)-dense,conse,tests,dev]'
	$(PIP) -q --no-deps openmim
	@echo '$(CURDIR)' > '$@'
	@echo "== ready: $(VENV). Next: source $(VENV)/bin/activate; mmlgd doctor"
