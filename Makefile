# vaultsync: the targets explain themselves, `make` lists them.
#
# Three tiers: `make test` while you work (seconds), `make check` before you
# push (minutes), `make deep` when durability or a parser changed (long).

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
LDFLAGS := -s -w -X main.version=$(VERSION)
LINT    := $(GO) tool -modfile=scripts/tools/go.mod golangci-lint
FUZZTIME ?= 10s
SCIM_SERVERS := $(CURDIR)/testdata/scimservers
PLATFORMS := linux/amd64 linux/arm64 windows/amd64

.DEFAULT_GOAL := help
.PHONY: help build run demo test check scim-servers deep fuzz bench lint fmt package clean vet race windows wine systemd tidy-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

build: ## the program for this machine, into ./bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/vaultsync

run: build ## the daemon in the foreground with ./vaultsync.yaml
	./bin/vaultsync run

demo: build ## a self-contained trial: simulated tenant, sample vaults, daemon
	./bin/vaultsync demo

test: ## the tests, cached: under a minute once built
	$(GO) test -vet=off -timeout 20m ./...
	@echo "ok. Waiting for 'make check': vet, lint, race detector, shuffled order, Windows, go.mod, SCIM services from npm. For 'make deep': fuzzing and full crash sweeps."

check: vet tidy-check windows race lint ## test + vet + lint + race + shuffle + Windows + go.mod + SCIM services: before you push

vet: ## go vet, all of it
	$(GO) vet ./...

race: scim-servers ## the tests with the race detector, in shuffled order
	VAULTSYNC_SCIM_SERVERS='$(SCIM_SERVERS)' $(GO) test -race -shuffle=on -timeout 40m ./...

scim-servers: $(SCIM_SERVERS)/node_modules/.installed ## SCIM services by others, from npm, for the tests (needs Node.js 20)

$(SCIM_SERVERS)/node_modules/.installed: $(SCIM_SERVERS)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js 20 or later; the SCIM driver is tested on services from npm" >&2; exit 1; }
	cd '$(SCIM_SERVERS)' && npm ci --ignore-scripts && touch node_modules/.installed

windows: ## type-check everything for Windows, tests included
	GOOS=windows GOARCH=amd64 $(GO) vet ./...

tidy-check: ## go.mod and go.sum are what the imports need
	$(GO) mod tidy -diff
	$(GO) mod verify

lint: ## the strict linter list (.golangci.yml); the linter builds once, 1-2 minutes
	$(LINT) run

fmt: ## format all Go files (gofumpt, import order); the tool builds once, 1-2 minutes
	gofmt -w cmd pkg
	$(LINT) fmt

deep: ## long runs: full crash sweeps, large data, 20 repeats of the races, fuzzing, Wine, systemd
	VAULTSYNC_DEEP=1 $(GO) test -timeout 90m -count=1 ./...
	$(GO) test -race -shuffle=on -count=20 -timeout 90m ./pkg/schedule ./pkg/control ./pkg/service
	$(MAKE) fuzz FUZZTIME=1m
	$(MAKE) wine
	$(MAKE) systemd

wine: ## the Windows executable under Wine: an import, its life as a service (Debian, root)
	GO='$(GO)' scripts/wine-test

systemd: ## the daemon and its unit under a booted systemd, in a container (Debian, root)
	GO='$(GO)' scripts/systemd-test

fuzz: ## every fuzz target for FUZZTIME (10s) each
	GO='$(GO)' scripts/fuzz $(FUZZTIME)

bench: ## the budgets of the design, measured beside their floor; BENCH=full takes a million people
	$(GO) run ./cmd/vsbench

package: ## reproducible Linux and Windows binaries with checksums, into ./dist
	@rm -rf dist && mkdir dist
	@for platform in $(PLATFORMS); do \
	  os=$${platform%/*}; arch=$${platform#*/}; ext=; [ $$os = windows ] && ext=.exe; \
	  echo "dist/vaultsync-$$os-$$arch$$ext"; \
	  CGO_ENABLED=0 GOOS=$$os GOARCH=$$arch $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS) -buildid=' \
	    -o dist/vaultsync-$$os-$$arch$$ext ./cmd/vaultsync || exit 1; \
	done
	@cp LICENSE scripts/vaultsync.service dist/
	@cd dist && sha256sum * > SHA256SUMS

clean: ## remove what build and package made
	rm -rf bin dist cover.out
