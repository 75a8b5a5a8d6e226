"""The language of Dockerfiles as BuildKit reads it: text to typed values; nothing is executed."""
