"""The data plane: requests of an endpoint's users, in a process of its own that never waits.

It knows what the gateway tells it over a socket: which endpoint has which containers and which
function which server, by their Unix sockets, and the routes of HTTP APIs. It answers InvokeEndpoint
and the APIs, captures data and counts; it runs no code of a user and opens no file but those of the
captured data and of access logs.
"""
