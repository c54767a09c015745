# captioner: bare `make` lists the targets. Each one brings what it needs; nothing is done twice.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
PEER ?=
FUZZTIME ?= 30s
BENCHTIME ?= 1s
SOAK ?= 2m
SHARED ?= ../shared
export PYTHON

# Whatever the user's flags are, a build never writes go.mod; the tag is explained in scripts/env.sh.
export GOFLAGS := $(GOFLAGS) -mod=readonly -tags=nodynamic

# Every Go command that may meet cgo runs in the build environment. The strings in it are part of Go's cache key.
ENV = . scripts/env.sh;

# The rooms that know no tensors: they build and pass their tests without cgo, libtorch or a C compiler.
PURE = ./data/... ./weights/... ./models/decode/...

# The rooms that compute with tensors: the tests that run on each device, the loop of training, and whole commands.
STANDIN = ./torch/... ./models/encoder ./models/clip ./models/vit ./models/swin ./models/beit ./models/siglip ./models/dinov2 \
  ./models/efficientnet ./models/kvcache ./models/batch ./models/gpt2 ./models/bert ./models/blip ./models/git ./models/florence2 ./models/coca ./models/clipcap \
  ./models/clipdecoder10 ./models/clipscore ./models/tags ./models/checkpoint ./models/captioner ./models/train/... ./cli/captioner

.PHONY: help setup build demo test test-standin test-pure test-portable dist try fuzz sanitize bench bench-families soak fixtures \
  fmt lint doctor train-demo clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

setup: ## check the tools, install libjpeg's and libtiff's headers, fetch libtorch and the Go modules
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
	$(ENV) go test -timeout 40m ./...

test-standin: setup ## test the GPU path on the stand-in that computes on the CPU (torch/standin)
	$(ENV) go vet -tags nodynamic,standin ./torch/... ./cli/captioner
	$(ENV) OMP_NUM_THREADS=1 go test -timeout 30m -tags nodynamic,standin $(STANDIN)

test-pure: ## vet and test the rooms without tensors, with CGO_ENABLED=0
	CGO_ENABLED=0 go vet $(PURE)
	CGO_ENABLED=0 go test $(PURE)

test-portable: setup ## test what other processors and systems run: no kernels for AVX; and vet for Linux and macOS on arm64
	scripts/dist/portable vet
	scripts/dist/portable test

dist: setup ## make all packages in dist/: archive, Debian package, wheel (docs/install.md)
	@scripts/dist/make

try: ## try the packages of dist/ in bare roots and print sizes and times (root, debootstrap)
	@scripts/dist/try

fuzz: setup ## run every fuzz target for FUZZTIME (30s)
	@$(ENV) scripts/fuzz $(FUZZTIME)

sanitize: setup ## run torch's tests with its C++ under AddressSanitizer and UndefinedBehaviorSanitizer
	@$(ENV) scripts/sanitize

bench: build ## measure the command line, the full size (beside PEER, a Python with transformers and clip) and the packages
	@$(PYTHON) scripts/bench/predict.py --shared $(SHARED)
	@$(PYTHON) scripts/bench/busy.py --shared $(SHARED)
	@$(ENV) $(PYTHON) scripts/bench/fullsize.py --shared $(SHARED) --peer "$(PEER)" --readme
	@$(PYTHON) scripts/bench/runtimes.py --shared $(SHARED) --stack "$(PEER)"
	$(ENV) go test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...

bench-families: build ## measure a captioner of each family at base size beside PEER, a Python with transformers and open_clip_torch
	@$(ENV) $(PYTHON) scripts/bench/families.py --shared $(SHARED) --peer "$(PEER)" --readme

soak: build ## serve at half load for SOAK (2m) and check that memory, tensors, goroutines and files stay flat
	@$(PYTHON) scripts/bench/serve/run.py soak --soak $(SOAK)

# What one Python runs, with PyTorch 2.11.0, transformers 4.57.1 and clip-anytorch 2.6.0. The heads of the other scripts
# say what they need: packages that exclude these, the original in several versions, or Java.
FIXTURES = clip clipscore efficientnet gpt2 optim safetensors topk transformer vit vitgpt2

fixtures: ## make the reference values of the networks again (PYTHON: one with PyTorch 2.11.0) and show what changed
	@for f in $(FIXTURES); do echo "scripts/fixtures/$$f.py" >&2; $(PYTHON) "scripts/fixtures/$$f.py"; done
	git status --short -- '*/testdata'

fmt: ## format the Go files, and the C++ files where clang-format is there
	gofmt -w .
	@! command -v clang-format >/dev/null || clang-format -i torch/*.c torch/*.cpp torch/*.h

lint: setup ## gofmt, vet, the shell scripts' syntax, and the rules in deps_test.go
	@files=$$(gofmt -l .); [ -z "$$files" ] || { echo "not formatted (make fmt formats them):" $$files >&2; exit 1; }
	@for f in scripts/setup-* scripts/fetch-* scripts/axe scripts/cxx20 scripts/fuzz scripts/sanitize scripts/dist/deb/*; do sh -n $$f; done
	@for f in scripts/release scripts/dist/{make,licenses,wheel,symbols,portable,reproducible,try}; do bash -n $$f; done
	$(ENV) go vet ./...
	$(ENV) go test -count=1 .

doctor: build ## say whether libtorch, the processor, CUDA and the demo model are in order
	bin/captioner doctor

# Every option of the embedded model, those that are the defaults too, in twelve runs, each from the model that the one
# before it ended with: 1 words and positions with the encoder as it came; 2 the encoder's last two stages along with
# them, on crops and mirrored images; 3 and 4 CIDEr-D again, for longer and, with more views, much longer; 5 the words
# of COCO's captions, from text; 6 COCO's images beside half of Flickr8k's; 7 CIDEr-D over both; 8 and 9 CIDEr-D again,
# 8 from the mean of two models of run 7 and that of run 4, which has learned nothing but the vocabulary (demo-4-words);
# 10 captions for photographs that have none, which name what an ImageNet classifier sees (scripts/demo-pairs.py), from
# the mean of what runs 9, 8, 7 and 4 ended with; 11 and 12 CIDEr-D again, 12 from a mean with what run 10 began from. A
# run that was cut goes on where it was, so that the same command may span days. scripts/demo-card.py makes the file to
# embed of runs/demo.safetensors.
DEMO = --name captioner-demo --threads 2 --precision bf16 --device cpu \
  --dropout 0.2 --input-dropout 0.1 --batch-size 25 --captions-per-image 5 --accumulate-grad-batches 1 --flip \
  --schedule cosine --lr-floor 0.02 --weight-decay 0.05 --beta1 0.9 --beta2 0.98 --clip 1 --label-smoothing 0.1 --ema 0.997 \
  --scst-batch-size 50 --scst-samples 5 --scst-temperature 0.7 --scst-ema 0.98 \
  --monitor cider --beam-size 3 --length-penalty 0.7 \
  --licence "research, non-commercial: trained on Flickr8k (Hodosh, Young, Hockenmaier 2013), captions of Flickr30k, and COCO; encoder Apache-2.0"
DEMO_FLICKR = --data $(SHARED)/data/flickr8k/captions_train.json --val $(SHARED)/data/flickr8k/captions_dev.json
DEMO_BOTH = --images $(SHARED)/data --val-images $(SHARED)/data --data runs/demo-data/train.json --val runs/demo-data/watch.json
DEMO_NEW = --images $(SHARED)/data --val-images $(SHARED)/data --data runs/demo-data/train-new.json --val runs/demo-data/watch.json
DEMO_NAMED = --images $(SHARED)/data --val-images $(SHARED)/data --data runs/demo-data/class-new.json --val runs/demo-data/watch.json --text-epochs 0
DEMO_TUNE = --train-encoder --encoder-from -1 --encoder-lr 1e-4 --lr 4e-4 --warmup 100 --crop-share 0.6
# A run by the name of its folder: made with the options, or resumed.
demo_run = @if [ -e runs/$(1)/options.json ]; then bin/captioner train --resume runs/$(1); else bin/captioner train --out runs/$(1) $(DEMO) $(2); fi

train-demo: build ## train the demo captioner on Flickr8k and COCO in SHARED (../shared) into runs/demo.safetensors; it resumes
	scripts/fetch-encoder lite2 .encoders/efficientnet-lite2.pth
	$(PYTHON) scripts/demo-data.py --shared $(SHARED) --out runs/demo-data
	$(call demo_run,demo-1,--seed 0 $(DEMO_FLICKR) --encoder .encoders/efficientnet-lite2.pth --encoder-name efficientnet-lite2 \
	  --text $(SHARED)/data/text/flickr30k_captions.txt.gz --text-epochs 1 \
	  --width 256 --layers 3 --heads 4 --positions 32 --vocab-min-count 5 \
	  --max-epochs 8 --lr 1e-3 --warmup 200 --scst-steps 120 --scst-lr 3e-5 --scst-eval-every 30)
	$(call demo_run,demo-2,--seed 0 $(DEMO_FLICKR) $(DEMO_TUNE) --text-epochs 0 --views 4 --init runs/demo-1/best.safetensors \
	  --max-epochs 5 --scst-steps 150 --scst-lr 3e-5 --scst-eval-every 30)
	$(call demo_run,demo-3,--seed 1 $(DEMO_FLICKR) $(DEMO_TUNE) --text-epochs 0 --views 4 --init runs/demo-2/best.safetensors \
	  --max-epochs 0 --scst-steps 300 --scst-lr 6e-5 --scst-eval-every 50)
	$(call demo_run,demo-4,--seed 2 $(DEMO_FLICKR) $(DEMO_TUNE) --text-epochs 0 --views 8 --init runs/demo-3/best.safetensors \
	  --max-epochs 0 --scst-steps 1200 --scst-lr 8e-5 --scst-eval-every 100)
	$(call demo_run,demo-5,--seed 0 $(DEMO_BOTH) $(DEMO_TUNE) --init runs/demo-4/best.safetensors --extend-vocab --vocab-min-count 12 \
	  --text $(SHARED)/data/text/coco_captions.txt.gz --text-epochs 1 --max-epochs 0 --views 3 --scst-steps 0)
	$(call demo_run,demo-6,--seed 0 $(DEMO_NEW) $(DEMO_TUNE) --warmup 50 --text-epochs 0 --views 3 --init runs/demo-5/best.safetensors \
	  --captions-per-image 3 --max-epochs 2 --scst-steps 0 --save-every 50)
	$(call demo_run,demo-4-words,--seed 0 $(DEMO_BOTH) $(DEMO_TUNE) --init runs/demo-4/best.safetensors --extend-vocab --vocab-min-count 12 \
	  --text $(SHARED)/data/text/coco_captions.txt.gz --text-epochs 1e-9 --max-epochs 0 --views 1 --scst-steps 0)
	$(call demo_run,demo-7,--seed 0 $(DEMO_BOTH) $(DEMO_TUNE) --text-epochs 0 --views 3 --init runs/demo-6/best.safetensors \
	  --max-epochs 0 --scst-steps 650 --scst-lr 8e-5 --scst-eval-every 75 --save-every 50)
	bin/captioner weights average runs/demo-7/best.safetensors runs/demo-7/last.safetensors runs/demo-4-words/best.safetensors --out runs/demo-mean.safetensors
	$(call demo_run,demo-8,--seed 1 $(DEMO_BOTH) $(DEMO_TUNE) --text-epochs 0 --views 3 --init runs/demo-mean.safetensors \
	  --max-epochs 0 --scst-steps 240 --scst-lr 5e-5 --scst-eval-every 60 --save-every 60)
	bin/captioner weights average runs/demo-8/best.safetensors runs/demo-8/last.safetensors runs/demo-7/best.safetensors \
	  runs/demo-4-words/best.safetensors --out runs/demo-mean-8.safetensors
	$(call demo_run,demo-9,--seed 6 $(DEMO_BOTH) $(DEMO_TUNE) --text-epochs 0 --views 3 --init runs/demo-8/best.safetensors \
	  --max-epochs 0 --scst-steps 280 --scst-lr 7e-5 --scst-eval-every 140 --save-every 50)
	bin/captioner weights average runs/demo-9/best.safetensors runs/demo-9/best.safetensors runs/demo-mean-8.safetensors --out runs/demo-mean-9.safetensors
	[ -e runs/demo-classes.jsonl ] || { $(ENV) go run ./scripts/democlasses -weights .encoders/efficientnet-lite2.pth \
	  $(SHARED)/data/coco-uncaptioned > runs/demo-classes.tmp && mv runs/demo-classes.tmp runs/demo-classes.jsonl; }
	bin/captioner predict --model runs/demo-mean-9.safetensors --min-confidence 0 --resume --out runs/demo-own.jsonl $(SHARED)/data/coco-uncaptioned
	$(PYTHON) scripts/demo-pairs.py --shared $(SHARED) --data runs/demo-data --classes runs/demo-classes.jsonl --own runs/demo-own.jsonl
	$(call demo_run,demo-10,--seed 12 $(DEMO_NAMED) $(DEMO_TUNE) --views 3 --init runs/demo-mean-9.safetensors \
	  --lr 3e-4 --encoder-lr 7.5e-5 --warmup 30 --max-epochs 1 --scst-steps 0 --save-every 50)
	$(call demo_run,demo-11,--seed 14 $(DEMO_BOTH) $(DEMO_TUNE) --text-epochs 0 --views 5 --init runs/demo-10/last.safetensors \
	  --max-epochs 0 --scst-steps 400 --scst-lr 8e-5 --scst-eval-every 100 --save-every 50)
	bin/captioner weights average runs/demo-11/last.safetensors runs/demo-11/last.safetensors runs/demo-mean-9.safetensors --out runs/demo-mean-11.safetensors
	$(call demo_run,demo-12,--seed 15 $(DEMO_BOTH) $(DEMO_TUNE) --text-epochs 0 --views 5 --init runs/demo-mean-11.safetensors \
	  --max-epochs 0 --scst-steps 260 --scst-lr 6e-5 --scst-eval-every 130 --save-every 50)
	bin/captioner weights average runs/demo-12/last.safetensors runs/demo-mean-11.safetensors --out runs/demo.safetensors

clean: ## remove what was built (libtorch stays: it is in .libtorch/)
	rm -rf bin dist
