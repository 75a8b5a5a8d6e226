"""A container engine: Docker's API, confined by default, quick to start."""

__version__ = "0.1.0"
