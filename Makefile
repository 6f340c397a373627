# Each target makes a virtual environment in the checkout and installs what it needs: Python >= 3.11 and make will do.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
READY := .venv/ready

.PHONY: demo test test-slow test-slurm test-simulators mutants check docs bench validation package clean

test test-slow: export OMP_NUM_THREADS = 1 # there are as many workers as cores
test test-slow: export OPENBLAS_NUM_THREADS = 1

demo: $(INSTALLED)  ## the 2-D double well, 32 runs, beside the exact value
	$(BIN)/pytams run examples/double_well_2d/input.toml --reference 7.596e-3

test: $(READY) check  ## everything that is quick
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow and not slurm and not simulators"

test-slow: $(READY)  ## the statistical and chaos suites
	$(BIN)/pytest -n 2 --dist worksteal -v -m slow --durations=60

test-slurm: $(READY)  ## a study on a real Slurm cluster of one node, started here; needs root, slurm-wlm and munge
	$(BIN)/pytest -m slurm

test-simulators: $(READY)  ## real simulators from PyPI: OpenMM and qgs
	$(BIN)/python -m pip install --quiet --group simulators
	$(BIN)/pytest -n 2 -v -m simulators tests/models/test_openmm.py tests/models/test_qgs.py

MUTANTS ?= 40
mutants: $(READY)  ## how many of a random sample of small faults, MUTANTS a room (0: all), do the quick tests notice?
	$(BIN)/python -m pip install --quiet --group mutants
	$(BIN)/python benchmarks/mutants.py --each $(MUTANTS) --only "$(ONLY)"

check: $(READY)
	$(BIN)/ruff check --no-cache --output-format concise
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(READY)  ## the site, in build/docs; a warning is an error
	rm -rf build/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --fresh-env -d build/doctrees docs build/docs

bench: $(READY)  ## measure; figures in the docs come from here
	$(BIN)/python benchmarks/dataflow.py
	$(BIN)/python benchmarks/ledger.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/simulator.py
	$(BIN)/python benchmarks/states.py --megabytes 10
	$(BIN)/python benchmarks/durability.py
	$(BIN)/python benchmarks/program.py
	$(BIN)/python benchmarks/learned.py
	$(BIN)/python benchmarks/parallel.py
	$(BIN)/python benchmarks/scale.py

validation: $(READY)  ## estimates beside exact values: writes docs/validation.md, validation_learned.md, validation_gallery.md
	PYTHONPATH=tests:tests/analysis $(BIN)/python benchmarks/validation.py
	$(BIN)/python benchmarks/validation_gallery.py
	$(BIN)/python benchmarks/validation_learned.py

package: $(READY)  ## wheel and sdist, each installed in an environment of its own, the demo run from them; recipes are parsed
	$(BIN)/python -m pip install --quiet --group packaging
	$(BIN)/pytest -q tests/test_packaging.py
	rm -rf dist && mkdir dist
	$(PYTHON) -m venv dist/build
	dist/build/bin/python -m pip install --quiet build
	dist/build/bin/python -m build --outdir dist .
	for made in dist/*.whl dist/*.tar.gz; do \
	  rm -rf dist/clean && $(PYTHON) -m venv dist/clean && dist/clean/bin/python -m pip install --quiet $$made && \
	  dist/clean/bin/pytams --version && \
	  (cd dist && clean/bin/pytams run ../examples/double_well_2d/input.toml --runs 8 --reference 7.596e-3) || exit 1; \
	done

$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile --editable .
	touch $@

$(READY): $(INSTALLED)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1" # older ones know no --group
	$(BIN)/python -m pip install --quiet --group dev
	touch $@

clean:
	rm -rf .venv mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist docs/api docs/examples
