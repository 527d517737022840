"""Resources: the types, what their properties may be, and the calls that make them."""
