# `make demo` makes pictures in a minute, without torch; `make test` checks everything; `make docs` builds the documentation.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

# Everything whose change means a new build. Tests and results of benchmarks are not installed.
PACKAGE := pyproject.toml setup.py $(shell find bench csrc fastnst include kernels train web -type f -not -name '*.pyc' -not -name '*.so' -not -name '*.wasm' -not -path 'bench/results/*')

.PHONY: demo test lib web models torture asan tsan fuzz bench gpu lint docs clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py demo

# A process more than there are cores, each a file of tests at a time: many tests compute with one thread, or wait for children that
# they kill. tests/conftest.py has the long files first.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(os.cpu_count() or 1, 8) + 1)')
test: $(VENV)/.test
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# The engine for programs in C, in build/libfastnst (docs/c.md). `make lib PREFIX=/usr/local` installs it there.
lib: | $(BIN)/python
	$(PIP) setuptools pybind11 ninja
	$(BIN)/python setup.py -q build_libfastnst
ifdef PREFIX
	install -d $(PREFIX)/include $(PREFIX)/lib
	install -m 644 include/fastnst.h $(PREFIX)/include
	cp -P build/libfastnst/libfastnst.* $(PREFIX)/lib
endif

# The engine in WebAssembly, for the page and the npm package in web/ (docs/web.md).
web: | $(BIN)/python
	$(PIP) ninja
	$(BIN)/python csrc/web/build.py

# What follows from the shipped models: looks, digests of golden pictures, addresses in the npm package (docs/adding.md).
# PAINTINGS=FOLDER: looks of the pictures there, too, which examples/public_domain.py names.
models: $(VENV)/.test
	$(BIN)/python examples/looks.py $(if $(PAINTINGS),--paintings $(PAINTINGS))
	cd tests && FASTNST_ISA=scalar PYTHONPATH=.:support $(abspath $(BIN))/python -m torture.goldens --update
	$(BIN)/python csrc/web/models.py

# The full figures of the checks in tests/torture, of which `make test` runs quick ones. Takes hours.
torture: $(VENV)/.test
	cd tests && PYTHONPATH=.:support $(abspath $(BIN))/python -m torture

# The engine with a sanitizer: damaged models and pictures, failing allocations, many threads.
asan tsan: $(VENV)/.test
	cd tests && PYTHONPATH=.:support $(abspath $(BIN))/python -m torture.native $@

# libFuzzer (needs clang), a quarter of an hour for each reader.
fuzz: $(VENV)/.test
	cd tests && PYTHONPATH=.:support $(abspath $(BIN))/python -m torture.fuzz 900

bench: $(VENV)/.bench
	$(BIN)/python -m fastnst bench
	$(BIN)/python -m fastnst bench --quick stylize training

# On a machine with a CUDA device: with the torch that is installed, without a network, in eight minutes.
gpu:
	PYTHON="$(PYTHON)" bench/gpu.sh

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	git ls-files 'csrc/*.h' 'csrc/*.cpp' 'include/*.h' 'kernels/*.cu' | xargs $(BIN)/clang-format --dry-run --Werror

# The pages are in build/docs. Broken links fail.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf build demo *.egg-info fastnst/*.so web/*.wasm web/models

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# The demonstration installs the package as a user would. Tests and benchmarks run the source tree, with the engine built in it.
$(VENV)/.demo: $(PACKAGE) | $(BIN)/python
	$(PIP) . scikit-image scikit-learn
	touch $@

$(VENV)/.test: $(PACKAGE) constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[test]'
	touch $@

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) -c constraints.txt -e '.[docs]'
	touch $@

$(VENV)/.bench: $(VENV)/.test
	$(PIP) -c constraints.txt -e '.[test,bench]'
	touch $@
