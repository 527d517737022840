"""Jobs and handlers as local processes: images, their environments, /opt/ml and its contract."""
