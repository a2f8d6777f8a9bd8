"""I/O only: one call's stream of events from RunAPI, and the list of its models.

httpx and httpx-sse live in this folder. What the bytes mean is `wire`'s business, what becomes of the
events the caller's. Every error that leaves is one of ours.
"""
