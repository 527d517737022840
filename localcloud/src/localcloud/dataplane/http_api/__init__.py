"""HTTP APIs at work: from a request to an event of a function, and from its result to an answer.

Sources: "Working with HTTP APIs" in the developer guide of API Gateway.
"""
