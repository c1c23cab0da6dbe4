"""What runs when: the operations, their Prefect flows and the ``tidenet`` command line."""
