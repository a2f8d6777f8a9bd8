"""Generations: upstream streams with a life of their own.

A generation is started once and runs in a task that belongs to the process, never to a request.
Requests follow it, leave it, and find it again by its handle.
"""
