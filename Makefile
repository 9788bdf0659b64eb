# make train: the VAE on MNIST, from nothing.  make gan: the GAN on Fashion-MNIST.  make test: every
# test.  `make` alone lists the rest.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
TORCH := torch==2.13.0

# Windows keeps a virtual environment's programs elsewhere; make is rare there, Git Bash is not.
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

train: $(VENV)/.installed  ## set up, fetch MNIST, train the VAE (20,000 iterations) into runs/
	$(BIN)/python -m minigrad.data mnist
	$(BIN)/python train_vae.py $(ARGS)

gan: $(VENV)/.installed  ## set up, fetch Fashion-MNIST, train the GAN (one epoch) into out_nonsaturating/
	$(BIN)/python -m minigrad.data fashion-mnist
	$(BIN)/python train_gan.py $(ARGS)

test: $(VENV)/.installed-for-tests  ## set up, check the style and the types, run every test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ARGS)

format: $(VENV)/.installed-for-tests  ## format the code, and mend what ruff can mend by itself
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

test-kills: $(VENV)/.installed-for-tests  ## kill and resume a training run 200 times (15 minutes)
	$(BIN)/python -m pytest tests/training/long_kills.py $(ARGS)

# CI without rights to install a browser goes on, with a warning that can't be overlooked.
test-browser: $(VENV)/.installed-for-tests  ## open the explorer's pages in Chromium (installs it, on Debian, if it may)
	@command -v chromedriver >/dev/null || \
		{ apt-get -q update && apt-get -q install -y chromium chromium-driver; } >/dev/null 2>&1 || true
	@if command -v chromedriver >/dev/null; then $(BIN)/python -m pytest tests/explore/browser.py $(ARGS); \
	else echo "WARNING: no Chromium and chromedriver here, and none could be installed: THE EXPLORER'S" \
		"PAGES WERE NOT TESTED IN A BROWSER"; fi

bench: $(VENV)/.installed-for-tests  ## time steps, products and single operations beside PyTorch
	$(BIN)/python -m benchmarks.vae_step $(ARGS)
	$(BIN)/python -m benchmarks.gan_step $(ARGS)
	$(BIN)/python -m benchmarks.gan_mlp_step $(ARGS)
	$(BIN)/python -m benchmarks.products
	$(BIN)/python -m benchmarks.engine
	$(BIN)/python -m benchmarks.neighbours
	$(BIN)/python -m benchmarks.sizes

bench-jax: $(VENV)/.installed-for-tests  ## time a step of the VAE also in JAX, in an environment of its own
	test -x .venv-jax/bin/python || $(PYTHON) -m venv .venv-jax
	.venv-jax/bin/python -m pip install -q jax
	$(BIN)/python -m benchmarks.vae_step $(ARGS)

figures: $(VENV)/.installed  ## draw the figures of docs/vanishing_gradient.md (3 minutes)
	$(BIN)/python -m docs.vanishing_gradient $(ARGS)

compare: $(VENV)/.installed-for-tests  ## train in both engines over five seeds, write docs/results.md
	$(BIN)/python -m benchmarks.compare $(ARGS)

clean:  ## remove the virtual environment; runs/ and the data stay
	rm -rf $(VENV)

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(PIP) install -e .
	@touch $@

# PyTorch's own index has builds for the CPU alone; the one on PyPI brings gigabytes of CUDA on Linux.
# So the wheel comes from there if that answers soon, and what it depends on from PyPI.
$(VENV)/.installed-for-tests: $(VENV)/.installed
	$(PIP) install -e '.[test]'
	@$(PIP) install --no-deps --timeout 15 --retries 0 $(TORCH) \
		--index-url https://download.pytorch.org/whl/cpu 2>/dev/null \
		|| echo "PyTorch's index of CPU builds can't be reached; trying PyPI's build"
	@if $(PIP) install $(TORCH); then touch $@; \
	else echo "PyTorch could not be installed: the tests that compare with it WILL BE SKIPPED"; fi

.PHONY: help train gan figures test test-browser format test-kills bench bench-jax compare clean
