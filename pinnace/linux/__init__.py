"""One kernel facility a module; plain values in, OSError out."""
