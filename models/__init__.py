"""The homework's models, and what their training scripts share."""
