"""These modules are the homework: its networks and losses, measurements and pictures."""

# Patterns for the files that runs of the two scripts leave, besides those of every run.
FILES = (
    "samples.png", "samples_mean.png", "traversal.png", "reconstructions.png", "latent.png",
    "losses.png", "real.png", "fake_[0-9]*[0-9].png", "training.gif",
)  # fmt: skip
