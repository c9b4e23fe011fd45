"""Figures of speed and quality, each measured beside a named peer: `make bench`."""
