"""Documents come in and go out as Docker's do."""
