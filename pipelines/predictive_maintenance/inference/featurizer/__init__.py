"""The first container of the endpoint: raw rows in, features out."""
