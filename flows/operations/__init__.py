"""The main job as plain functions: each takes a `Workspace` and returns what it did.

The command line calls these directly; the Prefect flows wrap them as tasks. None knows Prefect.
"""
