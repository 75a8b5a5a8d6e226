"""From a bundle to a process: all that an OCI runtime is."""
