"""The lead: one process that takes a study through its stages in order, and what its user sees and may stop."""
