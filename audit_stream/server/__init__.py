"""The HTTP server: the same ledger over REST and Server-Sent Events, behind `audit-stream serve`.

A thin skin over `audit_stream.ledger`, as the command line is: it parses, calls, answers.
"""
