"""What runs inside a serving container, by the image's own Python; nothing here is imported."""
