"""Templates: read, checked and evaluated, without any call to a service."""
