"""Other model servers, each with an environment of its own: `make bench` measures beside them."""
