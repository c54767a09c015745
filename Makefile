# captioner: bare `make` lists the targets. Each one brings what it needs; nothing is done twice.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
FUZZTIME ?= 30s
BENCHTIME ?= 1s
SHARED ?= ../shared
export PYTHON

# Whatever the user's flags are, a build never writes go.mod.
export GOFLAGS := $(GOFLAGS) -mod=readonly

# Every Go command that may meet cgo runs in the build environment. The strings in it are part of Go's cache key.
ENV = . scripts/env.sh;

# The rooms that know no tensors: they build and pass their tests without cgo, libtorch or a C compiler.
PURE = ./data/... ./weights/... ./models/decode/...

.PHONY: help setup build demo test test-pure fuzz bench fixtures fmt lint doctor train-demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' Makefile

setup: ## check the tools, install libjpeg's headers, fetch libtorch and the Go modules
	@scripts/setup-system
	@scripts/setup-libtorch
	@go mod download

# Git that refuses to look at somebody else's clone must not fail the build: then the version goes without a commit.
build: setup ## build bin/captioner
	@$(ENV) vcs=; git rev-parse HEAD >/dev/null 2>&1 || vcs=-buildvcs=false; \
	[ -n "$$(ls -A bin 2>/dev/null)" ] || echo 'building (the first time takes about four minutes)' >&2; \
	go build $$vcs -o bin/captioner ./cli/captioner

demo: build ## caption the photographs in examples/
	bin/captioner predict examples/

test: setup ## vet and test everything
	$(ENV) go vet ./...
	$(ENV) go test ./...

test-pure: ## vet and test the rooms without tensors, with CGO_ENABLED=0
	CGO_ENABLED=0 go vet $(PURE)
	CGO_ENABLED=0 go test $(PURE)

fuzz: setup ## run every fuzz target for FUZZTIME (30s)
	@$(ENV) scripts/fuzz $(FUZZTIME)

bench: build ## measure the command line and the packages
	@$(PYTHON) scripts/bench/predict.py --shared $(SHARED)
	$(ENV) go test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...

fixtures: ## make the reference values again (PYTHON: one with PyTorch 2.11.0) and show what changed
	@for f in scripts/fixtures/*.py; do \
		grep -q '__main__' "$$f" || continue; \
		echo "$$f" >&2; $(PYTHON) "$$f"; \
	done
	git status --short -- '*/testdata'

fmt: ## format the Go files
	gofmt -w .

lint: setup ## gofmt, vet, the shell scripts' syntax, and the rules in deps_test.go
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted (make fmt formats them):" $$files >&2; exit 1; }
	@for f in scripts/setup-* scripts/cxx20 scripts/fuzz; do sh -n $$f; done
	$(ENV) go vet ./...
	$(ENV) go test -count=1 .

doctor: build ## say whether libtorch, the processor, CUDA and the demo model are in order
	bin/captioner doctor

train-demo: build ## train the demo captioner on Flickr8k in SHARED (../shared)
	bin/captioner train --data $(SHARED)/data/flickr8k/captions_train.json --val $(SHARED)/data/flickr8k/captions_dev.json --out runs/demo

clean: ## remove what was built (libtorch stays: it is in .libtorch/)
	rm -rf bin
