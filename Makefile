# Everything a contributor runs. Needs Go 1.26 and make; the race detector also
# needs a C compiler and is left out, with a message, where there is none.

GO          ?= go
STATICCHECK  = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME    ?= 30s
ARGS        ?=
CONCURRENT   = . ./storage/... ./index/... ./api/... ./embed/bottleneck ./internal/nn/... ./internal/train/... ./recsys/... ./tabular/...
KERNELS      = ./simd/... ./index/...
# Tests of figures and documents in which nothing of ours runs beside anything that
# other tests do not run: they take minutes under the race detector.
DOCUMENTS    = GuideCommands|ReadmeProgram|ExportedName
FIGURES      = EveryFormOfCodes|AFormTakesAbout|FiltersAgree|ExplainShows|ACurveRises|MoreHitsGet|CalibratingByBits|AWalkOnARotatedPrefix|EveryPrefixIsCalibrated|RecallHoldsWithDefaults
TARGETS      = linux/amd64 linux/arm64 darwin/arm64 windows/amd64
RACE         = $(shell $(GO) env CC | cut -d' ' -f1)

.DEFAULT_GOAL := help
.PHONY: help build demo test unit race kernels check lint cross bench fuzz generate ci soak nightly clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/eider
	$(GO) build -trimpath -o bin/eider ./cmd/eider

demo: build ## build, load the demo data, search it, serve the console until Ctrl-C
	@exec ./bin/eider demo --dir demo-data $(ARGS)

test: unit race kernels ## run every test, about 12 minutes on two cores
	@echo "all tests passed"

unit:
	$(GO) test -timeout 14m ./...

race:
	@if command -v "$(RACE)" >/dev/null 2>&1; then \
		echo "$(GO) test -race -short $(CONCURRENT)"; \
		CGO_ENABLED=1 $(GO) test -race -short -skip '$(DOCUMENTS)|$(FIGURES)' -timeout 14m $(CONCURRENT); \
	else echo "no C compiler ($(RACE)): the tests under the race detector are left out"; fi

kernels:
	EIDER_SIMD=generic $(GO) test -count=1 -short -timeout 10m $(KERNELS)
	EIDER_SIMD=avx2 $(GO) test -count=1 -short -timeout 10m $(KERNELS)

check: lint cross ## what every edit must pass, under 3 minutes
	$(GO) test -short -timeout 10m ./...

lint:
	@bad=$$(gofmt -l $$(git ls-files '*.go' 2>/dev/null || find . -name '*.go')); \
		if [ -n "$$bad" ]; then echo "gofmt would change:"; echo "$$bad"; exit 1; fi
	$(GO) vet ./...
	@if $(GO) run $(STATICCHECK) -version >/dev/null 2>&1; then \
		echo "staticcheck ./..."; $(GO) run $(STATICCHECK) ./...; \
	else echo "staticcheck cannot be fetched or built here: left out"; fi

cross:
	@for t in $(TARGETS); do echo "build $$t"; \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build ./... || exit 1; done

bench: build ## measure speed and recall; ARGS chooses: make bench ARGS="ann --quick"
	./bin/eider bench $(or $(ARGS),ann --quick)

fuzz: ## run every fuzz target for FUZZTIME each
	@grep -rlE '^func Fuzz' --include='*_test.go' . | sort | while read -r file; do \
		for f in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p' "$$file"); do \
			echo "$$(dirname "$$file") $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || exit 1; \
		done; done

generate: ## regenerate committed files; git diff must stay empty
	$(GO) generate ./...

ci: lint cross test ## what .ci/run runs

soak: ## kill, cut, fail and churn at full size (about an hour)
	EIDER_SOAK=1 $(GO) test -timeout 120m $(CONCURRENT)

nightly: ## every test at full size, then two minutes of every fuzz target
	EIDER_SOAK=1 $(GO) test -timeout 180m ./...
	$(MAKE) fuzz FUZZTIME=2m

clean: ## remove what was built
	rm -rf bin
