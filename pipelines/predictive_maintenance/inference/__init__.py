"""The serving handlers that travel inside model.tar.gz."""
