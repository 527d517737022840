"""A small AWS for a laptop: the same wire API, really run, kept over a restart."""
