"""The processes that keep a container: zygote, supervisor, log drivers."""
