# `make run` is all a person needs. Works with GNU make 3.81 (macOS) and in a folder whose path has spaces.
# Nothing is installed or built twice: stamps carry the checksum of what they were made from.

VENV := .venv
PY := $(VENV)/bin/python
WEB := api/web
ARGS ?=

# Bytecode is half of a quick start; some environments switch it off for everybody.
unexport PYTHONDONTWRITEBYTECODE
unexport PYTHONHOME

# With the path, since a virtual environment that was moved does not work.
sum = $(shell { pwd; cat $(1); } 2>/dev/null | cksum | tr -s ' ' '-')
LOCKED := $(VENV)/.locked-$(call sum,requirements.lock)
INSTALLED := $(VENV)/.installed-$(call sum,requirements.lock pyproject.toml)
PACKAGES := $(WEB)/node_modules/.locked-$(call sum,$(WEB)/package-lock.json)
PAGE := $(WEB)/dist/.built-$(shell find $(WEB) \( -name node_modules -o -name dist \) -prune -o -type f -print \
	2>/dev/null | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cat 2>/dev/null | cksum | tr -s ' ' '-')

# The crates' checksum, not a Cargo.lock's: there is none.
SIP := worker/exchange/sip
ENGINE := $(VENV)/.phones-$(call sum,$(SIP)/Cargo.toml $(SIP)/pyproject.toml $(SIP)/src/*.rs)

.PHONY: help run install page phones livekit test test-parts unit contract integration e2e fuzz check format bench lock clean
.DEFAULT_GOAL := help

help: ## Show this
	@awk -F ':.*## ' '/^[a-z0-9 -]+:.*## / { printf "  make %-30s %s\n", $$1, $$2 }' Makefile

run: $(INSTALLED) $(PAGE) ## Install what is missing, start everything, print where to talk; Ctrl-C stops it
	@exec $(PY) -m api.cli up

install: $(INSTALLED) $(PAGE) ## Install and build, start nothing; afterwards .venv/bin/call2me is there

livekit: $(INSTALLED) ## Get livekit-server
	@$(PY) -m api.cli livekit install

page: $(PAGE) ## Build what a browser loads

phones: $(ENGINE) ## Build the SIP engine, for phone calls; needs a Rust toolchain

# Without a Rust toolchain the tests of phones are left out, which is a failure unless PHONES=off (tests/conftest.py).
test: test-parts ## Get all that tests need, then run every test; PHONES=off does without those of phones
	@CALL2ME_LIVEKIT_SERVER="$$($(PY) -m api.cli livekit path)" $(PY) .ci/tests $(ARGS)

test-parts: $(INSTALLED) $(PAGE) ## Get all that tests need
	@.ci/packages
	@.ci/buckets $(PY)
	@.ci/livekit-mock $(PY)
	@$(PY) -m api.cli livekit install >/dev/null
	@[ "$(PHONES)" = off ] || ! .ci/phones --can || $(MAKE) --no-print-directory phones

unit contract integration e2e: $(INSTALLED) $(PAGE) ## Run one kind of tests; ARGS="-k name" chooses among them
	@CALL2ME_LIVEKIT_SERVER="$$($(PY) -m api.cli livekit install)" $(PY) -m pytest tests/$@ $(ARGS)

fuzz: $(INSTALLED) $(PAGE) ## Ask the whole api for a long time what nobody would; ARGS go to schemathesis
	@CALL2ME_LIVEKIT_SERVER="$$($(PY) -m api.cli livekit install)" $(PY) -m tests.support.fuzz $(ARGS)

check: $(INSTALLED) $(PACKAGES) ## Format, lint, types and floors of the Python; format, lint and types of the page
	$(PY) -m ruff format --check
	$(PY) -m ruff check
	$(PY) -m mypy
	$(VENV)/bin/lint-imports
	cd $(WEB) && npm run --silent check

format: $(INSTALLED) $(PACKAGES) ## Format and fix what can be fixed
	$(PY) -m ruff format
	$(PY) -m ruff check --fix
	cd $(WEB) && npm run --silent format

bench: $(INSTALLED) $(PAGE) ## Measure, and write docs/benchmarks.md
	@CALL2ME_LIVEKIT_SERVER="$$($(PY) -m api.cli livekit install)" $(PY) -m bench.first_call --write $(ARGS)

lock: ## Write the lock files anew; they name versions and hashes, never where they came from
	@command -v uv >/dev/null || { echo "make lock needs uv: pip install uv"; exit 1; }
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
		--no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock
	@# In an empty folder: beside node_modules npm forgets the packages of other platforms.
	folder=$$(mktemp -d) && cp $(WEB)/package.json $(WEB)/package-lock.json $(WEB)/.npmrc "$$folder" \
		&& (cd "$$folder" && npm install --package-lock-only && npm ci --dry-run >/dev/null) \
		&& .ci/tidy-npm-lock "$$folder/package-lock.json" \
		&& cp "$$folder/package-lock.json" $(WEB)/ && rm -r "$$folder"

clean: ## Remove everything installed and built here; calls, recordings and settings stay
	rm -rf $(VENV) $(WEB)/node_modules $(WEB)/dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find api kb pipelines worker tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# The Python that an environment was made with may have been upgraded away.
ifeq ($(shell $(PY) -c 'print(1)' 2>/dev/null),)
.PHONY: $(LOCKED)
endif

$(LOCKED):
	@.ci/venv $(VENV)
	@echo "Installing Python packages (once; a minute or two) …"
	@.ci/patiently installing $(PY) -m pip install --quiet --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@rm -f $(VENV)/.locked-* && touch $@

$(INSTALLED): $(LOCKED)
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@rm -f $(VENV)/.installed-* && touch $@

$(ENGINE): $(INSTALLED)
	@.ci/phones $(VENV)
	@rm -f $(VENV)/.phones-* && touch $@

$(PACKAGES):
	@.ci/node
	@echo "Installing the page's packages (once) …"
	@cd $(WEB) && ../../.ci/patiently installing npm ci --silent --no-audit --no-fund
	@touch $@

$(PAGE): $(PACKAGES)
	@.ci/node
	@echo "Building the page …"
	@cd $(WEB) && ../../.ci/patiently building npm run --silent build
	@rm -f $(WEB)/dist/.built-* && touch $@
