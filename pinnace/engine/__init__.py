"""What Docker does, in Docker's words, without HTTP."""
