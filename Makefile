# The README's two commands are `make up` and `make test`; the rest is for those who work on Isthmus.
# Everything is built and kept outside the checkout, but for .venv and out/.

PYTHON ?= python3
STACK ?= bank-dev
VENV := .venv
BIN := $(VENV)/bin
ISTHMUS := $(BIN)/isthmus
# Where it is set, each of the processes that a run of the tests starts compiles our modules anew: a second each.
unexport PYTHONDONTWRITEBYTECODE
# Two cores are the least that we test on; two more workers have them while others wait for a sandbox.
WORKERS ?= 4
# Which long test files run (tests/turns.py): the commit chooses a seventh; `all` runs every one.
TURN ?= commit

.DEFAULT_GOAL := help
.PHONY: help install install-try install-all up try down check check-later fast style lint changed-types test soak cold recovery gpu bench images lock clean toolchain graders

help: ## what can be asked for
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort

# Locks of .venv: what `make up` needs, what `make try` adds, and everything.
stamp = $(VENV)/.installed-$(1)-$(shell cksum $(1) | cut -d' ' -f1)
install: $(call stamp,requirements.lock) ## the command line and what `make up` needs, in .venv
install-try: $(call stamp,serve-requirements.lock)
install-all: $(call stamp,dev-requirements.lock) ## all extras and what tests need, in .venv

define install_lock
$(call stamp,$(1)): $(1)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if (3, 11) <= v < (3, 14) else f"Python 3.11 to 3.13 is needed, {sys.executable} is {v[0]}.{v[1]}. Run make PYTHON=python3.12 …")'
	@echo "Installing $(1) in $(VENV)"
	@$(PYTHON) sandbox/toolchain/install_lock.py $(1) $(VENV) --no-compile
	@# The project runs from its checkout: a path and a script, nothing is packaged.
	@$(BIN)/python -c 'import pathlib, sysconfig; pathlib.Path(sysconfig.get_path("purelib"), "isthmus-checkout.pth").write_text(str(pathlib.Path.cwd()) + "\n")'
	@printf '#!%s\nimport sys\nfrom isthmus.cli import main\nsys.exit(main())\n' "$(CURDIR)/$(BIN)/python" > $(ISTHMUS) && chmod +x $(ISTHMUS)
	@rm -f $(VENV)/.installed-$(1)-* && touch $$@
endef
$(foreach lock,requirements.lock serve-requirements.lock dev-requirements.lock,$(eval $(call install_lock,$(lock))))

up: install ## bring the bank's hybrid platform up in a local sandbox
	@# The first build takes minutes: the plan and the rendered platform are there to read meanwhile.
	$(ISTHMUS) render $(STACK) -o out/$(STACK)
	$(ISTHMUS) sandbox install
	$(ISTHMUS) sandbox up stacks/$(STACK).requirements.yaml
	$(ISTHMUS) up $(STACK) --yes

try: install-try ## after `make up`: run what stands there on this machine, with a small language model, and send prompts
	$(ISTHMUS) sandbox serve $(STACK)
	$(ISTHMUS) verify $(STACK)

down: install ## end the sandbox; Pulumi's state is kept
	$(ISTHMUS) sandbox down

# A larger nursery for the type checker's many short-lived objects: a sixth less time.
# What it would warn of is that the lock pins another version than the newest.
export PYRIGHT_PYTHON_IGNORE_WARNINGS := 1

style: install-all
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

lint: style ## style, import layers and the types of every file
	NODE_OPTIONS=--max-semi-space-size=128 $(BIN)/pyright

changed-types: install-all
	NODE_OPTIONS=--max-semi-space-size=128 $(BIN)/python -m scripts.changed_types

# Whole renderings, variants and attacks are in `make test`.
FAST := -m 'not sandbox and not service and not whole and not soak' --hypothesis-profile quick \
	--ignore tests/variants --ignore tests/upgrades --ignore tests/fixed_interfaces/test_renderings.py \
	--ignore tests/policies/test_boundary_rows_in_programs.py --ignore tests/fences

fast: install-all
	@# A third worker would only fight with the type checker beside them.
	$(BIN)/python -m pytest -q -n 2 $(FAST)

check-later: install-all ## the fast tests with the clock a year and four years ahead
	$(BIN)/python -m tests.later -q -n 2 $(FAST)

# The types of every file take the checker two minutes: `make lint` and `make test` look at them all.
check: install-all ## style, import layers, types of what you changed, and the fast tests
	@$(MAKE) --no-print-directory -j3 --output-sync=target style changed-types fast

toolchain: install
	$(ISTHMUS) sandbox install

graders: install-all
	$(BIN)/python -m tests.graders.tools
	$(BIN)/python -m tests.edge.clients.install

test: lint toolchain graders ## everything, on the real engine, cluster and AWS endpoint
	$(BIN)/python -m tests.again -q -n $(WORKERS) -m 'not soak' --turn $(TURN)

soak: toolchain graders check-later ## the long matrices, whole
	$(BIN)/python -m pytest -q -n $(WORKERS) --hypothesis-profile soak

# It installs nothing here: everything happens in a new clone with an empty HOME.
cold: ## the README's commands on a machine with empty caches, with the time of each step (COMMANDS="up try test"; an hour)
	$(PYTHON) -m scripts.cold $(COMMANDS)

recovery: install-all toolchain ## the recovery matrix, printed: everything killed, at every fifth resource of the bank (hours)
	$(BIN)/python -m tests.recovery

gpu: install-all ## isthmus size beside vLLM on this machine's GPU, as ratios; skipped where there is none
	$(BIN)/python -m bench.gpu

bench: install-all toolchain ## measurements, as ratios in one run
	$(BIN)/python -m bench

images: graders ## build the edge's three images and their SBOMs (BASE=image@sha256:…, else Debian's Python)
	$(BIN)/python -m scripts.edge_image $(if $(BASE),--base $(BASE))

lock: install-all ## write the locks anew, for changed requirements (UPGRADE=1: with the newest versions); needs uv
	$(BIN)/python -m scripts.lock $(if $(UPGRADE),--upgrade)

clean: ## what was made in the checkout
	rm -rf $(VENV) out .pytest_cache .ruff_cache .hypothesis
