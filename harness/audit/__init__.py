"""The audit: whether results can be trusted. Recorded runs trained again, a user's own pieces checked, steps timed."""
