"""The toolkit's public names are below `beta.framework`."""
