"""The handlers, one file for each concept, and the table of paths.

A handler is a method of a class that was given the service; it parses, calls, answers.
"""
