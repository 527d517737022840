"""The deploy project: from an approved model package to an endpoint, stage by stage."""
