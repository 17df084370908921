"""Losses of a preference pair, one file each; the file's name is the value of `loss.kind`."""
