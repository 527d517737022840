"""Hosting: endpoint configurations, endpoints, their fleets of instances, and rollouts."""
