"""Execution: where populations train, in processes of this host or on a cluster, and how many at once."""
