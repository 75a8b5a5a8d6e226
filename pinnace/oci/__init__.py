"""The specs as values: digests, references, images, the runtime spec."""
