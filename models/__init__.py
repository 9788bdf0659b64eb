"""The homework: its networks and losses, what is measured of them, and the pictures of them."""

# The names of the files that the runs of either script leave, beside those of every run.
FILES = (
    "samples.png", "samples_mean.png", "traversal.png", "reconstructions.png", "latent.png",
    "losses.png", "real.png", "fake_[0-9]*[0-9].png", "training.gif",
)  # fmt: skip
