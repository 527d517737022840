"""What spoils a version: code at the end of its classifier's handler."""

HANGS = "import time\ntime.sleep(3600)\n"
EVERY_TENTH = """
_answer, _count = transform_fn, 0

def transform_fn(model, body, content_type, accept):
    global _count
    _count += 1
    if _count % 10 == 0:
        raise RuntimeError("one of ten")
    return _answer(model, body, content_type, accept)
"""
SLOWER = """
import time
_answer = transform_fn

def transform_fn(model, body, content_type, accept):
    time.sleep({seconds})
    return _answer(model, body, content_type, accept)
"""
