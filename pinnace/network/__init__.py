"""Networks, addresses, names and published ports."""
