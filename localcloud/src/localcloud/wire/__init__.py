"""AWS's wire protocols: how a request becomes a document, and a document an answer.

There is a module per protocol; none knows a service. A document is plain JSON: members by their
names in botocore's model, times as seconds since 1970, blobs as base64 text.
"""
